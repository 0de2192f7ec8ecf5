// SPDX-License-Identifier: Apache-2.0
#include "inspect/pickle_machine.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "base/checked.h"
#include "inspect/pickle_opcodes.h"

namespace mlxguard::inspect {
namespace {

constexpr std::size_t kStackMax = 1'000'000;
constexpr std::size_t kMemoMax = 2'000'000;
constexpr std::uint64_t kOpcodesMax = 200'000'000;

/// A value on the symbolic stack: text that stands in the file, or anything else.
struct Item {
  enum class Kind : std::uint8_t { kOther, kText, kEscapedText, kMark } kind = Kind::kOther;
  std::string_view text{};
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
      }
      if (too_large_) return "more opcodes, values or names than are read";
      begin_ = at_;
      const Opcode opcode = kOpcodes[static_cast<unsigned char>(bytes_[at_++])];
      if (opcode.argument == Argument::kBad) return "an opcode that does not exist";
      if (!read_argument(opcode.argument)) return "an opcode whose argument is cut off";
      if (opcode.effect == Effect::kStop) return {};
      if (!apply(opcode.effect)) {
        return "an opcode that finds too little on the stack, or a bad number";
      }
      note_call(bytes_[begin_]);
    }
    return "it ends without STOP";
  }

  [[nodiscard]] PickleRun result(std::string why) && {
    PickleRun run;
    run.why = std::move(why);
    run.end = at_;
    run.failed_at = begin_;
    run.protocol = protocol_;
    run.has_value = !stack_.empty();
    run.too_large = too_large_;
    run.called = called_;
    run.imports = std::move(imports_);
    return run;
  }

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
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(bytes_[at_ + i])} << (8 * i);
    }
    number_ = value;
    at_ += size;
    return true;
  }
  bool read_sized(std::size_t size) {
    if (!read_number(size) || *number_ > bytes_.size() - at_) return false;
    text_ = bytes_.substr(at_, static_cast<std::size_t>(*number_));
    at_ += text_.size();
    return true;
  }
  bool read_argument(Argument argument) {
    switch (argument) {
      case Argument::kNone:
        return true;
      case Argument::kLine:
        if (!read_line(text_)) return false;
        read_decimal();
        return true;
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
  /// The number of GET and PUT, as Python's int() reads a line: blanks around it, a sign, leading
  /// zeros, underscores between digits, an end at NUL. Read otherwise, the memo would not be the
  /// loader's. Lines of other opcodes need not be numbers.
  void read_decimal() {
    constexpr std::string_view kBlanks = " \t\n\v\f\r";
    number_.reset();
    std::string_view text = text_.substr(0, text_.find('\0'));
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
    if (text.starts_with('+')) text.remove_prefix(1);
    std::uint64_t value = 0;
    bool after_digit = false;
    for (const char c : text) {
      if (c == '_' && after_digit) {
        after_digit = false;
        continue;
      }
      const auto shifted = checked_mul<std::uint64_t>(value, 10);
      if (c < '0' || c > '9' || !shifted || *shifted > UINT64_MAX - 9) return;
      value = *shifted + static_cast<std::uint64_t>(c - '0');
      after_digit = true;
    }
    if (after_digit) number_ = value;
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
        imports_.try_emplace("copyreg extension " + std::to_string(*number_),
                             PickleImport{begin_, ImportDanger::kUnknown});
        return push();
      case Effect::kGet:
        return number_ && get();
      case Effect::kPut:
        return number_ && put(*number_);
      case Effect::kMemoize:
        return put(memo_.size());
      case Effect::kProto:
        protocol_ = static_cast<int>(*number_);
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
      imports_.try_emplace("a computed name" + shown,
                           PickleImport{begin_, ImportDanger::kRunsCode});
    }
    return push();
  }
  bool get() {
    const auto found = memo_.find(*number_);
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
    if (imports_.size() >= kImportsMax) {
      too_large_ = true;  // what is not kept is said to be missing
      return;
    }
    const std::string whole =
        std::string(module.substr(0, kNameMax)) + "." + std::string(name.substr(0, kNameMax));
    const ImportDanger danger = danger_of_import(module, name);
    imported_ = imported_ || (danger != ImportDanger::kHarmless && is_plain_name(whole));
    imports_.try_emplace(whole, PickleImport{begin_, danger});
  }

  void note_call(char opcode) {
    called_ = called_ ||
              (imported_ && std::string_view("Roi\x81\x92").find(opcode) != std::string_view::npos);
  }

  std::string_view bytes_;
  std::size_t at_ = 0, begin_ = 0;
  std::string_view text_, second_;
  std::optional<std::uint64_t> number_{};  ///< nothing: the line is no number
  int protocol_ = 0;
  bool too_large_ = false, imported_ = false, called_ = false;
  std::vector<Item> stack_;
  std::unordered_map<std::uint64_t, Item> memo_;
  std::map<std::string, PickleImport> imports_;
};

}  // namespace

PickleRun run_pickle(std::string_view untrusted_bytes) {
  Machine machine(untrusted_bytes);
  std::string why = machine.run();
  return std::move(machine).result(std::move(why));
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || c == '.' || is_ascii_alphanumeric(c);
  });
}

}  // namespace mlxguard::inspect
