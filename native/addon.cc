// The whole N-API surface: names, info, settings, load, runSync, bind, run, loop, probes. The only file that
// includes napi.h. No C++ exceptions cross or enter it (NAPI_DISABLE_CPP_EXCEPTIONS): every failure is
// a pending JavaScript exception and a null return.
//
// One Env per environment (main thread or worker). Its cleanup hook cancels the environment's jobs
// before anything they refer to goes away.
#include <napi.h>

#include <map>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#include "addon_values.h"
#include "arena.h"
#include "chains.h"
#include "cpu.h"
#include "dispatch.h"
#include "probes.h"
#include "program.h"
#include "runner.h"
#include "thread_pool.h"

namespace {

using namespace layerwise;

struct Environment {
  napi_env env = nullptr;
  napi_threadsafe_function deliver = nullptr;
  int pending = 0;  // submitted and not yet delivered; JavaScript thread only
  int pauses = 0;   // pause() without resume() yet; JavaScript thread only
};

struct Handle {
  std::shared_ptr<Program> program;
  int64_t reported;  // bytes told to the garbage collector
};

constexpr napi_type_tag kHandleTag = {0x6c617965727769ull, 0x736570726f6772ull};

// A Program with its bindings settled, run by the function that bind() made; that function holds the
// arrays.
struct Bound {
  std::shared_ptr<Program> program;
  std::vector<void*> bases;
};

struct NodeJob : Job {
  Environment* environment = nullptr;
  napi_ref kept = nullptr;  // [callback, handle, bindings, progress]
};

Handle* handleOf(napi_env env, napi_value value) {
  bool tagged = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, value, &kHandleTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, value, &data) != napi_ok) {
    // Not an object at all leaves an exception pending in some versions.
    bool pending = false;
    napi_is_exception_pending(env, &pending);
    if (!pending) throwType(env, "expected a Program handle from load()");
    return nullptr;
  }
  return static_cast<Handle*>(data);
}

napi_value names(napi_env env, int32_t count, const char* (*nameOf)(int32_t)) {
  napi_value array;
  napi_create_array_with_length(env, (size_t)count, &array);
  for (int32_t i = 0; i < count; i++) napi_set_element(env, array, (uint32_t)i, toText(env, nameOf(i)));
  return array;
}
napi_value kernelNames(napi_env env, napi_callback_info) {
  return names(env, kKernelCount, kernelName);
}
napi_value instructionNames(napi_env env, napi_callback_info) {
  return names(env, kInstructionCount, instructionName);
}

napi_value list(napi_env env, const std::vector<const char*>& texts) {
  napi_value array;
  napi_create_array_with_length(env, texts.size(), &array);
  for (size_t i = 0; i < texts.size(); i++) napi_set_element(env, array, (uint32_t)i, toText(env, texts[i]));
  return array;
}

napi_value tableNames(napi_env env, const std::vector<const KernelTable*>& tables) {
  std::vector<const char*> names;
  for (const KernelTable* table : tables) names.push_back(table->name);
  return list(env, names);
}

napi_value info(napi_env env, napi_callback_info) {
  napi_value object, quotaValue;
  napi_create_object(env, &object);
  const auto set = [&](const char* key, napi_value value) {
    napi_set_named_property(env, object, key, value);
  };
  const double quota = cpuQuota();
  if (quota > 0) quotaValue = toNumber(env, quota);
  else napi_get_null(env, &quotaValue);
  uint32_t version = 0;
  napi_get_version(env, &version);
  set("isa", toText(env, currentTable()->name));
  set("isas", tableNames(env, availableTables()));
  set("compiledIsas", tableNames(env, compiledTables()));
  set("threads", toNumber(env, ThreadPool::instance().threads()));
  set("affinity", toNumber(env, affinityCount()));
  set("quota", quotaValue);
  set("physicalCores", toNumber(env, physicalCores()));
  set("cpu", toText(env, cpuBrand()));
  set("napiVersion", toNumber(env, version));
  return object;
}

std::string availableNames() {
  std::string list;
  for (const KernelTable* table : availableTables()) {
    list += (list.empty() ? "" : ", ") + std::string(table->name);
  }
  return list;
}

napi_value setIsa(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[1];
  napi_valuetype type = napi_undefined;
  if (arguments(env, callbackInfo, args) > 0) napi_typeof(env, args[0], &type);
  const std::string name = type == napi_string ? fromText(env, args[0]) : "";
  if (!selectTable(name)) {
    return throwError(env, "instruction set \"" + name + "\" is not available here; available: " +
                               availableNames());
  }
  return undefined(env);
}

napi_value setThreads(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[1];
  double count = 0;
  if (arguments(env, callbackInfo, args) < 1 || napi_get_value_double(env, args[0], &count) != napi_ok ||
      !(count >= 1 && count <= 1024) || count != (double)(int)count) {
    return throwType(env, "setThreads: expected an integer from 1 to 1024");
  }
  ThreadPool::instance().setThreads((int)count);
  return undefined(env);
}

void dropHandle(napi_env env, void* data, void*) {
  Handle* handle = static_cast<Handle*>(data);
  int64_t total;
  napi_adjust_external_memory(env, -handle->reported, &total);
  delete handle;
}

napi_value load(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[3];
  View words, floats, constants;
  if (arguments(env, callbackInfo, args) < 3 || !viewOf(env, args[0], &words) ||
      words.type != napi_int32_array || !viewOf(env, args[1], &floats) ||
      floats.type != napi_float64_array || !viewOf(env, args[2], &constants) ||
      constants.type != napi_uint8_array) {
    return throwType(env, "load: expected (Int32Array, Float64Array, Uint8Array)");
  }
  std::string error;
  std::shared_ptr<Program> program = Program::load(
      currentTable(), static_cast<const int32_t*>(words.data), words.length,
      static_cast<const double*>(floats.data), floats.length,
      static_cast<const uint8_t*>(constants.data), constants.length, &error);
  if (!program) return throwError(env, error);
  napi_value object;
  Handle* handle = new Handle{program, program->stateBytes()};
  if (napi_create_object(env, &object) != napi_ok ||
      napi_type_tag_object(env, object, &kHandleTag) != napi_ok ||
      napi_wrap(env, object, handle, dropHandle, nullptr, nullptr) != napi_ok) {
    delete handle;
    return throwError(env, "load: the handle could not be created");
  }
  int64_t total;
  napi_adjust_external_memory(env, handle->reported, &total);
  return object;
}

// The names of the chains that a Program's tile programs are run as, in order of its calls; "…, drawn" with its mask.
napi_value chains(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[1];
  if (arguments(env, callbackInfo, args) < 1) return throwType(env, "chains: expected (handle)");
  const Handle* handle = handleOf(env, args[0]);
  if (!handle) return nullptr;
  std::vector<std::string> names;
  for (const Call& call : handle->program->calls()) {
    if (!call.tile || call.tile->chain < 0) continue;
    names.push_back(std::string(kChains[call.tile->chain].name) + (call.tile->drawn ? ", drawn" : ""));
  }
  std::vector<const char*> texts;
  for (const std::string& name : names) texts.push_back(name.c_str());
  return list(env, texts);
}

napi_value runSync(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[2];
  if (arguments(env, callbackInfo, args) < 2) return throwType(env, "runSync: expected (handle, bindings)");
  Handle* handle = handleOf(env, args[0]);
  if (!handle) return nullptr;
  Program& program = *handle->program;
  Bases bases(program.bindings().size());
  if (!readBindings(env, program, args[1], true,
                    [&](uint32_t b) { return program.bindings()[b].size; }, bases.data)) {
    return nullptr;
  }
  const std::string problem = runHere(program, bases.data);
  if (!problem.empty()) return throwError(env, problem);
  return undefined(env);
}

napi_value runBound(napi_env env, napi_callback_info callbackInfo) {
  void* data = nullptr;
  napi_get_cb_info(env, callbackInfo, nullptr, nullptr, nullptr, &data);
  Bound& bound = *static_cast<Bound*>(data);
  const std::string problem = runHere(*bound.program, bound.bases.data());
  if (!problem.empty()) return throwError(env, problem);
  return nullptr;
}

// A function without arguments that does runSync(handle, bindings): what a call costs apart from its
// work is getting at the arrays, so they are looked at once. None of them may be detached, transferred
// or resized while the function is in use; the caller sees to that.
napi_value bind(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[2];
  if (arguments(env, callbackInfo, args) < 2) return throwType(env, "bind: expected (handle, bindings)");
  Handle* handle = handleOf(env, args[0]);
  if (!handle) return nullptr;
  const Program& program = *handle->program;
  const size_t count = program.bindings().size();
  Bound* bound = new Bound{handle->program, std::vector<void*>(count)};
  if (!readBindings(env, program, args[1], true,
                    [&](uint32_t b) { return program.bindings()[b].size; }, bound->bases.data())) {
    delete bound;
    return nullptr;
  }
  // A frozen list of its own keeps the arrays alive as long as the function.
  napi_value function, kept;
  napi_create_array_with_length(env, count, &kept);
  for (uint32_t b = 0; b < count; b++) {
    napi_value item;
    napi_get_element(env, args[1], b, &item);
    napi_set_element(env, kept, b, item);
  }
  const auto drop = [](napi_env, void* data, void*) { delete static_cast<Bound*>(data); };
  napi_property_descriptor property = {"bindings", nullptr,      nullptr, nullptr,
                                       nullptr,    kept,         napi_default, nullptr};
  if (napi_object_freeze(env, kept) != napi_ok ||
      napi_create_function(env, "run", NAPI_AUTO_LENGTH, runBound, bound, &function) != napi_ok ||
      napi_define_properties(env, function, 1, &property) != napi_ok ||
      napi_add_finalizer(env, function, bound, drop, nullptr, nullptr) != napi_ok) {
    delete bound;
    return throwError(env, "bind: the function could not be created");
  }
  return function;
}

// On the JavaScript thread: calls back and lets go of what the job held.
void deliver(napi_env env, napi_value, void*, void* data) {
  NodeJob* job = static_cast<NodeJob*>(data);
  if (!env) {  // the environment is going away; its references go with it
    delete job;
    return;
  }
  Environment* environment = job->environment;
  if (--environment->pending == 0) napi_unref_threadsafe_function(env, environment->deliver);
  napi_value kept, callback, receiver, args[3];
  napi_get_reference_value(env, job->kept, &kept);
  napi_get_element(env, kept, 0, &callback);
  napi_delete_reference(env, job->kept);
  if (job->error.empty()) {
    napi_get_null(env, &args[0]);
  } else {
    napi_create_error(env, nullptr, toText(env, job->error), &args[0]);
  }
  size_t count = 1;
  if (job->isLoop) {
    args[1] = toNumber(env, (double)job->done);
    args[2] = toText(env, job->reason == Reason::kDone      ? "done"
                          : job->reason == Reason::kAborted ? "aborted"
                                                            : "nonfinite");
    count = 3;
  }
  delete job;
  napi_get_undefined(env, &receiver);
  napi_value result;
  if (napi_call_function(env, receiver, callback, count, args, &result) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
}

// On the runner thread.
void complete(Job* job) {
  NodeJob* nodeJob = static_cast<NodeJob*>(job);
  if (napi_call_threadsafe_function(nodeJob->environment->deliver, nodeJob, napi_tsfn_nonblocking) !=
      napi_ok) {
    delete nodeJob;
  }
}

// Keeps callback, handle, progress and the list of typed arrays alive, and queues the job. The list is
// the caller's: it must stay as it is until the callback.
napi_value submit(napi_env env, NodeJob* job, napi_value handle, napi_value bindings,
                  napi_value callback, napi_value progress) {
  Environment* environment = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&environment));
  napi_value kept;
  napi_create_array_with_length(env, 4, &kept);
  napi_set_element(env, kept, 0, callback);
  napi_set_element(env, kept, 1, handle);
  napi_set_element(env, kept, 2, bindings);
  if (progress) napi_set_element(env, kept, 3, progress);
  if (napi_create_reference(env, kept, 1, &job->kept) != napi_ok) {
    delete job;
    return throwError(env, "the run could not be queued");
  }
  job->environment = environment;
  job->owner = environment;
  job->complete = complete;
  if (environment->pending++ == 0) napi_ref_threadsafe_function(env, environment->deliver);
  submitJob(job);
  return undefined(env);
}

bool isFunction(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, value, &type);
  return type == napi_function;
}

napi_value run(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[3];
  if (arguments(env, callbackInfo, args) < 3 || !isFunction(env, args[2])) {
    return throwType(env, "run: expected (handle, bindings, callback)");
  }
  Handle* handle = handleOf(env, args[0]);
  if (!handle) return nullptr;
  const Program& program = *handle->program;
  Bases bases(program.bindings().size());
  if (!readBindings(env, program, args[1], true,
                    [&](uint32_t b) { return program.bindings()[b].size; }, bases.data)) {
    return nullptr;
  }
  NodeJob* job = new NodeJob;
  job->program = handle->program;
  for (size_t b = 0; b < program.bindings().size(); b++) {
    job->windows.push_back({static_cast<char*>(bases.data[b]), 0});
  }
  return submit(env, job, args[0], args[1], args[2], nullptr);
}

napi_value loop(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[7];
  if (arguments(env, callbackInfo, args) < 7 || !isFunction(env, args[6])) {
    return throwType(env,
                     "loop: expected (handle, bindings, advance, steps, progress, watch, callback)");
  }
  Handle* handle = handleOf(env, args[0]);
  if (!handle) return nullptr;
  const Program& program = *handle->program;
  const size_t count = program.bindings().size();
  View advance, watch;
  if (!viewOf(env, args[2], &advance) || advance.type != napi_float64_array ||
      advance.length != count) {
    return throwType(env, "loop: expected `advance` to be a Float64Array of " +
                              std::to_string(count) + " elements");
  }
  double steps = -1;
  if (napi_get_value_double(env, args[3], &steps) != napi_ok || !(steps >= 0 && steps <= INT32_MAX) ||
      steps != (double)(int64_t)steps) {
    return throwType(env, "loop: expected `steps` to be an integer from 0 to 2147483647");
  }
  napi_valuetype progressType = napi_undefined;
  napi_typeof(env, args[4], &progressType);
  int32_t* progress = nullptr;
  if (progressType != napi_null && progressType != napi_undefined) {
    View view;
    if (!viewOf(env, args[4], &view) || view.type != napi_int32_array || view.length < 2) {
      return throwType(env, "loop: expected `progress` to be null or an Int32Array of 2 elements");
    }
    progress = static_cast<int32_t*>(view.data);
  }
  if (!viewOf(env, args[5], &watch) || watch.type != napi_int32_array) {
    return throwType(env, "loop: expected `watch` to be an Int32Array");
  }
  const double* advances = static_cast<const double*>(advance.data);
  for (size_t b = 0; b < count; b++) {
    if (!(advances[b] >= 0 && advances[b] <= INT32_MAX) ||
        advances[b] != (double)(int64_t)advances[b]) {
      return throwType(env, "loop: expected `advance` " + std::to_string(b) +
                                " to be an integer of 0 or more");
    }
  }
  const int32_t* watched = static_cast<const int32_t*>(watch.data);
  for (size_t w = 0; w < watch.length; w++) {
    if (watched[w] < 0 || (size_t)watched[w] >= count ||
        program.bindings()[(size_t)watched[w]].dtype != kFloat32) {
      return throwType(env, "loop: `watch` names binding " + std::to_string(watched[w]) +
                                ", which is not a float32 binding");
    }
  }
  Bases bases(count);
  const int64_t last = steps > 0 ? (int64_t)steps - 1 : 0;
  if (!readBindings(env, program, args[1], false,
                    [&](uint32_t b) {
                      return program.bindings()[b].size + last * (int64_t)advances[b];
                    },
                    bases.data)) {
    return nullptr;
  }
  NodeJob* job = new NodeJob;
  job->program = handle->program;
  job->isLoop = true;
  job->steps = (int64_t)steps;
  job->progress = progress;
  job->watch.assign(watched, watched + watch.length);
  for (size_t b = 0; b < count; b++) {
    job->windows.push_back({static_cast<char*>(bases.data[b]),
                            (int64_t)advances[b] * program.bindings()[b].elementBytes()});
  }
  return submit(env, job, args[0], args[1], args[6], progress ? args[4] : nullptr);
}

napi_value pause(napi_env env, napi_callback_info) {
  Environment* environment = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&environment));
  environment->pauses++;
  pauseJobs();
  return undefined(env);
}

napi_value resume(napi_env env, napi_callback_info) {
  Environment* environment = nullptr;
  napi_get_instance_data(env, reinterpret_cast<void**>(&environment));
  if (environment->pauses == 0) return throwError(env, "resume: there was no pause()");
  environment->pauses--;
  resumeJobs();
  return undefined(env);
}

// The memory of an ArrayBuffer, the only argument; false with an exception where that is none.
bool bufferArgument(napi_env env, napi_callback_info callbackInfo, const char* name, void** data, size_t* length) {
  napi_value args[1];
  if (arguments(env, callbackInfo, args) >= 1 && napi_get_arraybuffer_info(env, args[0], data, length) == napi_ok) {
    return true;
  }
  throwType(env, std::string(name) + ": expected an ArrayBuffer");
  return false;
}

// Where in a cache line the memory of an ArrayBuffer begins.
napi_value lineOffset(napi_env env, napi_callback_info callbackInfo) {
  void* data = nullptr;
  size_t length = 0;
  if (!bufferArgument(env, callbackInfo, "lineOffset", &data, &length)) return nullptr;
  return toNumber(env, (double)((uintptr_t)data % 64));
}

napi_value hugePages(napi_env env, napi_callback_info callbackInfo) {
  void* data = nullptr;
  size_t length = 0;
  if (!bufferArgument(env, callbackInfo, "hugePages", &data, &length)) return nullptr;
  askForHugePages(data, length);
  return undefined(env);
}

// `threads` and `milliseconds` of a probe, from args[0] and args[1]; false where they are none.
bool probeOptions(napi_env env, const napi_value* args, int* threads, double* milliseconds) {
  double count = 0;
  if (napi_get_value_double(env, args[0], &count) != napi_ok || !(count >= 1 && count <= 1024) ||
      napi_get_value_double(env, args[1], milliseconds) != napi_ok ||
      !(*milliseconds > 0 && *milliseconds <= 60000)) {
    return false;
  }
  *threads = (int)count;
  return true;
}

napi_value peak(napi_env env, napi_callback_info callbackInfo) {
  napi_value args[3];
  int threads = 0;
  double milliseconds = 0;
  const size_t count = arguments(env, callbackInfo, args);
  const std::string name = count > 0 ? fromText(env, args[0]) : "";
  if (count < 3 || !probeOptions(env, args + 1, &threads, &milliseconds)) {
    return throwType(env, "peak: expected (isa, threads, milliseconds)");
  }
  for (const KernelTable* table : availableTables()) {
    if (name == table->name) return toNumber(env, peakRate(*table, threads, milliseconds));
  }
  return throwError(env, "instruction set \"" + name + "\" is not available here; available: " +
                             availableNames());
}

napi_value bandwidth(napi_env env, napi_callback_info callbackInfo) {
  static const std::map<std::string, Sweep> sweeps = {{"read", Sweep::kRead},
                                                      {"copy", Sweep::kCopy},
                                                      {"triad", Sweep::kTriad},
                                                      {"update", Sweep::kUpdate}};
  napi_value args[4];
  int threads = 0;
  double milliseconds = 0;
  bool around = false;
  const size_t count = arguments(env, callbackInfo, args);
  const auto sweep = sweeps.find(count > 0 ? fromText(env, args[0]) : "");
  if (count < 4 || sweep == sweeps.end() || !probeOptions(env, args + 1, &threads, &milliseconds) ||
      napi_get_value_bool(env, args[3], &around) != napi_ok) {
    return throwType(env, "bandwidth: expected (\"read\", \"copy\", \"triad\" or \"update\", "
                          "threads, milliseconds, aroundCaches)");
  }
  const double rate = sweepRate(sweep->second, around, threads, milliseconds);
  return rate > 0 ? toNumber(env, rate) : throwError(env, "bandwidth: not enough memory");
}

// The addon must stay mapped: its threads outlive the environment that loaded it first.
void pinLibrary() {
#if !defined(_WIN32)
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&pinLibrary), &self) && self.dli_fname) {
    dlopen(self.dli_fname, RTLD_LAZY | RTLD_NODELETE | RTLD_NOLOAD);
  }
#endif
}

void cleanup(void* data) {
  Environment* environment = static_cast<Environment*>(data);
  cancelJobs(environment);
  for (; environment->pauses > 0; environment->pauses--) resumeJobs();  // ended in mid-pause
}

Napi::Object init(Napi::Env napiEnv, Napi::Object exports) {
  napi_env env = napiEnv;
  pinLibrary();
  Environment* environment = new Environment;
  environment->env = env;
  napi_set_instance_data(
      env, environment, [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); },
      nullptr);
  const napi_value resource = toText(env, "layerwise");
  napi_create_threadsafe_function(env, nullptr, nullptr, resource, 0, 1, nullptr, nullptr, nullptr,
                                  deliver, &environment->deliver);
  napi_unref_threadsafe_function(env, environment->deliver);
  // Hooks run last in, first out: ours before the thread-safe function's own.
  napi_add_env_cleanup_hook(env, cleanup, environment);

  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"kernelNames", kernelNames}, {"instructionNames", instructionNames},
      {"info", info},               {"setIsa", setIsa},
      {"setThreads", setThreads},   {"load", load},
      {"chains", chains},           {"runSync", runSync},
      {"bind", bind},               {"run", run},
      {"loop", loop},               {"pause", pause},
      {"resume", resume},           {"peak", peak},
      {"bandwidth", bandwidth},     {"lineOffset", lineOffset},
      {"hugePages", hugePages},
  };
  for (const auto& f : functions) {
    napi_value function;
    napi_create_function(env, f.name, NAPI_AUTO_LENGTH, f.function, nullptr, &function);
    napi_set_named_property(env, exports, f.name, function);
  }
  return exports;
}

}  // namespace

NODE_API_MODULE(layerwise, init)
