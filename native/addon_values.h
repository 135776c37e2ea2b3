// Between JavaScript's values and C++'s: text, numbers, typed arrays, the bindings of a Program. What a function does
// not accept is a pending exception, and false or null.
#pragma once

#include <node_api.h>

#include <string>
#include <vector>

#include "program.h"

namespace layerwise {

inline napi_value throwError(napi_env env, const std::string& message) {
  napi_throw_error(env, nullptr, message.c_str());
  return nullptr;
}
inline napi_value throwType(napi_env env, const std::string& message) {
  napi_throw_type_error(env, nullptr, message.c_str());
  return nullptr;
}

inline napi_value toText(napi_env env, const std::string& text) {
  napi_value v = nullptr;
  napi_create_string_utf8(env, text.c_str(), text.size(), &v);
  return v;
}
inline napi_value toNumber(napi_env env, double x) {
  napi_value v = nullptr;
  napi_create_double(env, x, &v);
  return v;
}
inline napi_value undefined(napi_env env) {
  napi_value v = nullptr;
  napi_get_undefined(env, &v);
  return v;
}

inline std::string fromText(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) return "";
  std::string text(length, 0);
  napi_get_value_string_utf8(env, value, &text[0], length + 1, &length);
  return text;
}

struct View {
  napi_typedarray_type type;
  size_t length;
  void* data;
};
inline bool viewOf(napi_env env, napi_value value, View* view) {
  bool is = false;
  if (napi_is_typedarray(env, value, &is) != napi_ok || !is) return false;
  return napi_get_typedarray_info(env, value, &view->type, &view->length, &view->data, nullptr,
                                  nullptr) == napi_ok;
}

inline const char* arrayName(DType dtype) {
  return dtype == kFloat32 ? "Float32Array" : dtype == kInt32 ? "Int32Array" : "Uint8Array";
}
inline bool matches(napi_typedarray_type type, DType dtype) {
  switch (dtype) {
    case kFloat32:
      return type == napi_float32_array;
    case kInt32:
      return type == napi_int32_array;
    default:
      return type == napi_uint8_array;
  }
}

// Checks bindings against the Program; `reach(b)` is how many elements binding b must have, `exact`
// whether it may not have more. Pointers to `bases`.
template <class Reach>
inline bool readBindings(napi_env env, const Program& program, napi_value array, bool exact, Reach reach,
                  void** bases) {
  const std::vector<ProgramBinding>& bindings = program.bindings();
  bool is = false;
  uint32_t count = 0;
  napi_is_array(env, array, &is);
  if (is) napi_get_array_length(env, array, &count);
  if (!is || count != bindings.size()) {
    throwType(env, "bindings: expected an array of " + std::to_string(bindings.size()) +
                       " typed arrays, got " + (is ? std::to_string(count) : "something else"));
    return false;
  }
  for (uint32_t b = 0; b < count; b++) {
    napi_value item;
    View view;
    if (napi_get_element(env, array, b, &item) != napi_ok) return false;
    const int64_t wanted = reach(b);
    if (!viewOf(env, item, &view) || !matches(view.type, bindings[b].dtype)) {
      throwType(env, "binding " + std::to_string(b) + ": expected a " + arrayName(bindings[b].dtype) +
                         " of " + std::to_string(wanted) + " elements, got something else");
      return false;
    }
    if (exact ? (int64_t)view.length != wanted : (int64_t)view.length < wanted) {
      throwType(env, "binding " + std::to_string(b) + ": expected " + (exact ? "" : "at least ") +
                         std::to_string(wanted) + " elements, got " + std::to_string(view.length));
      return false;
    }
    if (view.data && (uintptr_t)view.data % (uintptr_t)bindings[b].elementBytes() != 0) {
      throwType(env, "binding " + std::to_string(b) + " is not aligned to its elements");
      return false;
    }
    bases[b] = view.data;
  }
  return true;
}

// Small arrays of pointers without the heap.
struct Bases {
  void* few[32];
  std::vector<void*> many;
  void** data;
  explicit Bases(size_t n) {
    if (n <= 32) {
      data = few;
    } else {
      many.resize(n);
      data = many.data();
    }
  }
};

template <size_t N>
size_t arguments(napi_env env, napi_callback_info info, napi_value (&values)[N]) {
  size_t count = N;
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  return count;
}

}  // namespace layerwise
