// libFuzzer target: arbitrary words, floats and constants are loaded; what loads and is small is
// run in guarded memory on every instruction set, whole and in three parts, and must give the same
// bits. The mutator knows the layout of the words and starts from random valid Programs, or little
// would load.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dispatch.h"
#include "../test/support/guarded_run.h"
#include "../test/support/random_program.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t capacity);

namespace {

using namespace layerwise;
using namespace layerwise::test;

// An input is the counts of words and floats, the words, the floats, and constants to the end.
struct Header {
  uint32_t words, floats;
};

Encoded decode(const uint8_t* data, size_t size) {
  Encoded e;
  Header header;
  if (size < sizeof header) return e;
  memcpy(&header, data, sizeof header);
  data += sizeof header;
  size -= sizeof header;
  e.words.resize(header.words < size / 4 ? header.words : size / 4);
  if (!e.words.empty()) memcpy(e.words.data(), data, e.words.size() * 4);
  data += e.words.size() * 4;
  size -= e.words.size() * 4;
  e.floats.resize(header.floats < size / 8 ? header.floats : size / 8);
  if (!e.floats.empty()) memcpy(e.floats.data(), data, e.floats.size() * 8);
  e.constants.assign(data + e.floats.size() * 8, data + size);
  return e;
}

size_t encode(const Encoded& e, uint8_t* data, size_t capacity) {
  const Header header = {(uint32_t)e.words.size(), (uint32_t)e.floats.size()};
  const size_t words = e.words.size() * 4, floats = e.floats.size() * 8;
  const size_t size = sizeof header + words + floats + e.constants.size();
  if (size > capacity) return 0;
  memcpy(data, &header, sizeof header);
  data += sizeof header;
  if (words) memcpy(data, e.words.data(), words);
  if (floats) memcpy(data + words, e.floats.data(), floats);
  if (!e.constants.empty()) memcpy(data + words + floats, e.constants.data(), e.constants.size());
  return size;
}

// Gives bindings the size of their tensors and the arena room for its tensors, as far as the words
// can be followed: a changed dimension then reaches the checks of the call.
void repair(Encoded& e) {
  if (e.words.size() < 7) return;
  e.words[0] = 0x4c575031;
  e.words[1] = 1;
  const int64_t tensors = e.words[2], bindings = e.words[3];
  struct Bound {
    int64_t binding, size;
    int32_t dtype;
  };
  std::vector<Bound> bound;
  int64_t arena = 0;
  size_t at = 7;
  for (int64_t t = 0; t < tensors; t++) {
    if (at + 5 > e.words.size()) return;
    const int32_t dtype = e.words[at], place = e.words[at + 1], value = e.words[at + 2];
    const int32_t rank = e.words[at + 4];
    if (rank < 0 || rank > 16 || at + 5 + (size_t)rank > e.words.size()) return;
    int64_t size = 1;
    for (int32_t d = 0; d < rank; d++)
      size = size * e.words[at + 5 + (size_t)d] % (int64_t{1} << 31);
    if (place == 1) bound.push_back({value, size, dtype});
    else if (place == 0 && value + size * 4 + 64 > arena) arena = value + size * 4 + 64;
    at += 5 + (size_t)rank;
  }
  if (arena >= 0 && arena < (1 << 24)) e.words[5] = (int32_t)arena, e.words[6] = 0;
  for (const Bound& b : bound) {
    const size_t where = at + 3 * (size_t)b.binding;
    if (b.binding < 0 || b.binding >= bindings || where + 3 > e.words.size()) continue;
    e.words[where] = b.dtype;
    e.words[where + 1] = (int32_t)b.size;
  }
}

// Every word that has one value gets another: a dimension changes in all places at once.
void replaceEverywhere(std::vector<int32_t>& words, int32_t from, int32_t to) {
  for (size_t i = 7; i < words.size(); i++) {
    if (words[i] == from) words[i] = to;
  }
}

int32_t edgyWord(Random& random) {
  return random.pick({-1,  0,   1,   2,       3,       4,       7,         8,        9,
                      15,  16,  17,  63,      64,      65,      255,       256,      257,
                      511, 512, 513, 1 << 16, 1 << 20, 1 << 30, INT32_MAX, INT32_MIN});
}

void mutateOnce(Encoded& e, Random& random) {
  if (e.words.empty()) {
    e = randomProgram(random);
    return;
  }
  const size_t at = (size_t)random.below((int64_t)e.words.size());
  int32_t& word = e.words[at];
  switch (random.below(8)) {
    case 0: word = edgyWord(random); break;
    case 1: word = (int32_t)((uint32_t)word + (random.chance(0.5) ? 1u : ~0u)); break;
    case 2: word = e.words[(size_t)random.below((int64_t)e.words.size())]; break;
    case 3: replaceEverywhere(e.words, word, (int32_t)random.below(70)); break;
    case 4: replaceEverywhere(e.words, word, edgyWord(random)); break;
    case 5: e.words.insert(e.words.begin() + (int64_t)at, edgyWord(random)); break;
    case 6: e.words.erase(e.words.begin() + (int64_t)at); break;
    default:
      if (!e.floats.empty()) {
        e.floats[(size_t)random.below((int64_t)e.floats.size())] =
            random.pick({0.0, 1.0, -1.0, 0.5, 1e300, -1e10, 4294967295.0, __builtin_nan("")});
      }
  }
}

// Bounds that keep one input below a few milliseconds, sanitizers included.
constexpr int64_t kMostBytes = 4 << 20;
constexpr int64_t kMostWork = 3'000'000;

bool isSmall(const Program& program) {
  int64_t bytes = program.stateBytes(), work = 0;
  for (const ProgramBinding& b : program.bindings()) bytes += b.size * b.elementBytes();
  for (const Call& call : program.calls()) {
    if (call.work < 0 || call.work > kMostWork) return false;
    work += call.work + call.scratchBytes / 16;
  }
  return bytes < kMostBytes && work < kMostWork;
}

void die(const char* what, const std::string& detail) {
  fprintf(stderr, "program fuzzer: %s %s\n", what, detail.c_str());
  abort();
}

void run(const KernelTable* table, const Encoded& encoded, uint64_t seed) {
  std::string error;
  const std::shared_ptr<Program> program = load(table, encoded, &error);
  if (!program) {
    if (error.empty()) die(table->name, "refuses without a word");
    return;
  }
  if (!isSmall(*program)) return;
  Random random(seed);
  const std::vector<Bytes> bindings = randomBindings(*program, random);
  const Outcome whole = runGuarded(*program, bindings, 1, Parts::kInTurn, Guard::kBehind);
  const Outcome parts = runGuarded(*program, bindings, 3, Parts::kInTurn, Guard::kBefore);
  for (const Outcome* outcome : {&whole, &parts}) {
    if (!outcome->violation.empty()) die(table->name, outcome->violation);
  }
  if (whole.error.empty() != parts.error.empty()) die(table->name, "fails in parts only");
  if (!whole.error.empty()) return;
  const std::string changed = difference(*program, whole, parts);
  if (!changed.empty()) die(table->name, "gives other bits in parts: " + changed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Encoded encoded = decode(data, size);
  for (const KernelTable* table : availableTables()) run(table, encoded, size);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t capacity,
                                          unsigned seed) {
  Random random(seed);
  if (random.chance(0.05)) return LLVMFuzzerMutate(data, size, capacity);
  Encoded e = random.chance(0.1) ? randomProgram(random) : decode(data, size);
  const int64_t turns = random.below(5);
  for (int64_t i = 0; i < turns; i++) mutateOnce(e, random);
  if (random.chance(0.8)) repair(e);
  const size_t result = encode(e, data, capacity);
  return result > 0 ? result : LLVMFuzzerMutate(data, size, capacity);
}
