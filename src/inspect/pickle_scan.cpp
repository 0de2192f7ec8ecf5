// SPDX-License-Identifier: Apache-2.0
#include "inspect/pickle_scan.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "inspect/pickle_opcodes.h"

namespace mlxguard::inspect {
namespace {

constexpr std::size_t kStackMax = 1'000'000;
constexpr std::size_t kMemoMax = 2'000'000;
constexpr std::uint64_t kOpcodesMax = 200'000'000;
constexpr std::size_t kPicklesMax = 1000;
constexpr std::size_t kNamesShown = 12;

/// A value on the symbolic stack: text that stands in the file, or anything else.
struct Item {
  enum class Kind : std::uint8_t { kOther, kText, kEscapedText, kMark } kind = Kind::kOther;
  std::string_view text{};
};

struct Import {
  std::uint64_t offset = 0;
  ImportDanger danger = ImportDanger::kUnknown;
};

/// One pickle, from its first opcode to STOP.
class Machine {
 public:
  explicit Machine(std::string_view bytes) : bytes_(bytes) {}

  /// Empty when it reached STOP; else why it could not go on.
  std::string run() {
    for (std::uint64_t count = 0; at_ < bytes_.size(); ++count) {
      if (count >= kOpcodesMax || stack_.size() > kStackMax || memo_.size() > kMemoMax) {
        too_large_ = true;
        return "more opcodes or values than are read";
      }
      begin_ = at_;
      const Opcode opcode = kOpcodes[static_cast<unsigned char>(bytes_[at_++])];
      if (opcode.argument == Argument::kBad) return "an opcode that does not exist";
      if (!read_argument(opcode.argument)) return "an opcode whose argument is cut off";
      if (opcode.effect == Effect::kStop) return {};
      if (!apply(opcode.effect))
        return "an opcode that finds too little on the stack, or a bad number";
    }
    return "it ends without STOP";
  }

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] bool has_value() const { return !stack_.empty(); }
  [[nodiscard]] std::size_t failed_at() const { return begin_; }
  [[nodiscard]] bool too_large() const { return too_large_; }
  [[nodiscard]] int protocol() const { return protocol_; }
  [[nodiscard]] const std::map<std::string, Import>& imports() const { return imports_; }

 private:
  bool read_line(std::string_view& line) {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == bytes_.npos) return false;
    line = bytes_.substr(at_, end - at_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at_ = end + 1;
    return true;
  }
  bool read_number(std::size_t size) {
    if (bytes_.size() - at_ < size) return false;
    number_ = 0;
    for (std::size_t i = 0; i < size; ++i) {
      number_ |= std::uint64_t{static_cast<unsigned char>(bytes_[at_ + i])} << (8 * i);
    }
    at_ += size;
    return true;
  }
  bool read_sized(std::size_t size) {
    if (!read_number(size) || number_ > bytes_.size() - at_) return false;
    text_ = bytes_.substr(at_, static_cast<std::size_t>(number_));
    at_ += text_.size();
    return true;
  }
  bool read_argument(Argument argument) {
    switch (argument) {
      case Argument::kNone:
        return true;
      case Argument::kLine:
        return read_line(text_) && read_decimal();
      case Argument::kTwoLines:
        return read_line(text_) && read_line(second_);
      case Argument::kBytes1:
        return read_number(1);
      case Argument::kBytes2:
        return read_number(2);
      case Argument::kBytes4:
        return read_number(4);
      case Argument::kBytes8:
        return read_number(8);
      case Argument::kSized1:
        return read_sized(1);
      case Argument::kSized4:
        return read_sized(4);
      case Argument::kSized8:
        return read_sized(8);
      case Argument::kBad:
        return false;
    }
    return false;
  }
  /// The number of GET and PUT stands in decimal; of other lines it does not matter.
  bool read_decimal() {
    number_ = 0;
    for (const char c : text_.substr(0, 18)) {
      if (c < '0' || c > '9') break;
      number_ = number_ * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return true;
  }

  bool pop(std::size_t count) {
    for (; count > 0; --count) {
      if (stack_.empty() || stack_.back().kind == Item::Kind::kMark) return false;
      stack_.pop_back();
    }
    return true;
  }
  bool pop_mark() {
    while (!stack_.empty()) {
      const bool mark = stack_.back().kind == Item::Kind::kMark;
      stack_.pop_back();
      if (mark) return true;
    }
    return false;
  }
  bool push(Item item = {}) {
    stack_.push_back(item);
    return true;
  }

  bool apply(Effect effect) {
    switch (effect) {
      case Effect::kPush:
        return push();
      case Effect::kText:
        return push({Item::Kind::kText, text_});
      case Effect::kRawText:
        return push_raw_text();
      case Effect::kPop1:
        return pop_any();
      case Effect::kPop2:
        return pop(2);
      case Effect::kPop1Push:
        return pop(1) && push();
      case Effect::kPop2Push:
        return pop(2) && push();
      case Effect::kPop3Push:
        return pop(3) && push();
      case Effect::kMark:
        return push({Item::Kind::kMark, {}});
      case Effect::kPopMark:
      case Effect::kPopMarkKeep:
        return pop_mark();
      case Effect::kPopMarkPush:
        return pop_mark() && push();
      case Effect::kDup:
        return !stack_.empty() && push(Item(stack_.back()));
      case Effect::kGlobal:
        note(text_, second_);
        return push();
      case Effect::kInst:
        note(text_, second_);
        return pop_mark() && push();
      case Effect::kStackGlobal:
        return stack_global();
      case Effect::kExtension:
        imports_.try_emplace("copyreg extension " + std::to_string(number_),
                             Import{begin_, ImportDanger::kUnknown});
        return push();
      case Effect::kGet:
        return get();
      case Effect::kPut:
        return put(number_);
      case Effect::kMemoize:
        return put(memo_.size());
      case Effect::kProto:
        protocol_ = static_cast<int>(number_);
        return true;
      case Effect::kKeep:
      case Effect::kStop:
        return true;
    }
    return false;
  }

  /// POP takes a mark away as well.
  bool pop_any() {
    if (stack_.empty()) return false;
    stack_.pop_back();
    return true;
  }
  /// S'text' and Vtext: their escapes are not resolved; a name with one is a name that hides.
  bool push_raw_text() {
    std::string_view text = text_;
    const bool quoted = text.size() >= 2 && (text.front() == '\'' || text.front() == '"');
    if (quoted) text = text.substr(1, text.size() - 2);
    const bool escaped = text.find('\\') != text.npos;
    return push({escaped ? Item::Kind::kEscapedText : Item::Kind::kText, text});
  }
  bool stack_global() {
    if (stack_.size() < 2) return false;
    const Item name = stack_.back();
    const Item module = stack_[stack_.size() - 2];
    if (!pop(2)) return false;
    if (name.kind == Item::Kind::kText && module.kind == Item::Kind::kText) {
      note(module.text, name.text);
    } else {
      const std::string shown =
          name.text.empty() ? "" : ": " + std::string(name.text.substr(0, 200));
      imports_.try_emplace("a computed name" + shown, Import{begin_, ImportDanger::kRunsCode});
    }
    return push();
  }
  bool get() {
    const auto found = memo_.find(number_);
    return found != memo_.end() && push(found->second);
  }
  bool put(std::uint64_t index) {
    if (stack_.empty() || stack_.back().kind == Item::Kind::kMark) return false;
    memo_[index] = stack_.back();
    return true;
  }
  void note(std::string_view module, std::string_view name) {
    constexpr std::size_t kNameMax = 512;
    constexpr std::size_t kImportsMax = 10'000;
    if (imports_.size() >= kImportsMax) return;
    const std::string whole =
        std::string(module.substr(0, kNameMax)) + "." + std::string(name.substr(0, kNameMax));
    imports_.try_emplace(whole, Import{begin_, danger_of_import(module, name)});
  }

  std::string_view bytes_;
  std::size_t at_ = 0, begin_ = 0;
  std::string_view text_, second_;
  std::uint64_t number_ = 0;
  int protocol_ = 0;
  bool too_large_ = false;
  std::vector<Item> stack_;
  std::unordered_map<std::uint64_t, Item> memo_;
  std::map<std::string, Import> imports_;
};

/// Findings over all pickles of a file, each name once.
class Pickles {
 public:
  Pickles(std::uint64_t offset, Findings& findings) : offset_(offset), findings_(findings) {}

  void add(const Machine& machine, std::size_t begin) {
    protocol_ = std::max(protocol_, machine.protocol());
    for (const auto& [name, import] : machine.imports()) {
      if (!names_.insert(name).second) continue;
      if (import.danger == ImportDanger::kHarmless) continue;
      const Place place{.offset = offset_ + begin + import.offset, .line = {}};
      if (import.danger == ImportDanger::kRunsCode) {
        findings_.add(Rule::kPickleCode, "imports what runs code, or what leads to it", name,
                      place);
      } else {
        findings_.add(Rule::kPickleImport, "imports what is not known to be harmless", name, place);
      }
    }
  }
  void finish() {
    std::string shown;
    std::size_t count = 0;
    for (const std::string& name : names_) {
      if (count++ == kNamesShown) {
        shown += ", ...";
        break;
      }
      shown += (shown.empty() ? "" : ", ") + name;
    }
    findings_.add(Rule::kPickleFile,
                  "a pickle of protocol " + std::to_string(protocol_) + " that imports " +
                      (names_.empty() ? "nothing" : std::to_string(names_.size()) + " names"),
                  shown, {.offset = offset_, .line = {}});
  }

 private:
  std::uint64_t offset_;
  Findings& findings_;
  std::set<std::string> names_;
  int protocol_ = 0;
};

}  // namespace

bool is_pickle(Bytes file) {
  Machine machine(as_text(file));
  if (machine.run().empty()) {
    return machine.has_value() && (!machine.imports().empty() || machine.at() == file.size());
  }
  // Broken off: what it had imported until then was run. Prose that happens to import names no such
  // thing.
  return std::any_of(machine.imports().begin(), machine.imports().end(),
                     [](const auto& one) { return one.second.danger == ImportDanger::kRunsCode; });
}

void scan_pickle(Bytes file, std::uint64_t offset, Findings& findings) {
  const std::string_view bytes = as_text(file);
  Pickles report(offset, findings);
  std::size_t begin = 0;
  for (std::size_t pickles = 0; begin < bytes.size(); ++pickles) {
    if (pickles == kPicklesMax) {
      findings.gap("more pickles one after another than are read");
      break;
    }
    Machine machine(bytes.substr(begin));
    const std::string why = machine.run();
    // What follows the first may be data (tensors of old checkpoints): only what imports, or says
    // that it is a pickle, counts as one more.
    const bool announced = static_cast<unsigned char>(bytes[begin]) == 0x80;
    if (pickles > 0 && !announced && machine.imports().empty()) break;
    report.add(machine, begin);
    if (machine.too_large()) {
      findings.gap("pickle: " + why);
      break;
    }
    if (!why.empty()) {
      findings.add(Rule::kPickleInvalid, why, {},
                   {.offset = offset + begin + machine.failed_at(), .line = {}});
      break;
    }
    begin += machine.at();
  }
  report.finish();
}

}  // namespace mlxguard::inspect
