// SPDX-License-Identifier: Apache-2.0
// Every opcode of pickle protocols 0 to 5: what follows it, and what it does to the stack as far as
// names can come of it. What has no row does not exist.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace mlxguard::inspect {

/// What follows an opcode.
enum class Argument : std::uint8_t {
  kBad,
  kNone,
  kLine,
  kTwoLines,
  kBytes1,
  kBytes2,
  kBytes4,
  kBytes8,
  kSized1,
  kSized4,
  kSized8,
};

/// What an opcode does to the stack, as far as names can come of it.
enum class Effect : std::uint8_t {
  kPush,
  kText,
  kRawText,
  kPop1,
  kPop2,
  kKeep,
  kPop1Push,
  kPop2Push,
  kPop3Push,
  kMark,
  kPopMark,
  kPopMarkPush,
  kPopMarkKeep,
  kDup,
  kGlobal,
  kStackGlobal,
  kInst,
  kExtension,
  kGet,
  kPut,
  kMemoize,
  kStop,
  kProto,
};

struct Opcode {
  Argument argument = Argument::kBad;
  Effect effect = Effect::kKeep;
};

[[nodiscard]] constexpr std::array<Opcode, 256> opcode_table() {
  std::array<Opcode, 256> t{};
  using A = Argument;
  using E = Effect;
  const auto set = [&](std::string_view codes, A argument, E effect) {
    for (const char c : codes) t[static_cast<unsigned char>(c)] = {argument, effect};
  };
  set("(", A::kNone, E::kMark), set(".", A::kNone, E::kStop), set("1", A::kNone, E::kPopMark);
  set("0", A::kNone, E::kPop1), set("2", A::kNone, E::kDup);
  set("FIL", A::kLine, E::kPush), set("S", A::kLine, E::kRawText), set("V", A::kLine, E::kRawText);
  set("J", A::kBytes4, E::kPush), set("K", A::kBytes1, E::kPush), set("M", A::kBytes2, E::kPush);
  set("G", A::kBytes8, E::kPush), set("N])}", A::kNone, E::kPush);
  set("P", A::kLine, E::kPush), set("Q", A::kNone, E::kPop1Push);
  set("R", A::kNone, E::kPop2Push), set("ab", A::kNone, E::kPop1), set("s", A::kNone, E::kPop2);
  set("T", A::kSized4, E::kText), set("U", A::kSized1, E::kText), set("X", A::kSized4, E::kText);
  set("B", A::kSized4, E::kText), set("C", A::kSized1, E::kText);
  set("c", A::kTwoLines, E::kGlobal), set("i", A::kTwoLines, E::kInst);
  set("dlto", A::kNone, E::kPopMarkPush), set("eu", A::kNone, E::kPopMarkKeep);
  set("g", A::kLine, E::kGet), set("h", A::kBytes1, E::kGet), set("j", A::kBytes4, E::kGet);
  set("p", A::kLine, E::kPut), set("q", A::kBytes1, E::kPut), set("r", A::kBytes4, E::kPut);
  set("\x80", A::kBytes1, E::kProto), set("\x81", A::kNone, E::kPop2Push);
  set("\x82", A::kBytes1, E::kExtension), set("\x83", A::kBytes2, E::kExtension);
  set("\x84", A::kBytes4, E::kExtension), set("\x85", A::kNone, E::kPop1Push);
  set("\x86", A::kNone, E::kPop2Push), set("\x87", A::kNone, E::kPop3Push);
  set("\x88\x89\x8f", A::kNone, E::kPush), set("\x8a", A::kSized1, E::kPush);
  set("\x8b", A::kSized4, E::kPush), set("\x8c", A::kSized1, E::kText);
  set("\x8d\x8e\x96", A::kSized8, E::kText), set("\x90", A::kNone, E::kPopMarkKeep);
  set("\x91", A::kNone, E::kPopMarkPush), set("\x92", A::kNone, E::kPop3Push);
  set("\x93", A::kNone, E::kStackGlobal), set("\x94", A::kNone, E::kMemoize);
  set("\x95", A::kBytes8, E::kKeep), set("\x97", A::kNone, E::kPush),
      set("\x98", A::kNone, E::kKeep);
  return t;
}
inline constexpr std::array<Opcode, 256> kOpcodes = opcode_table();

}  // namespace mlxguard::inspect
