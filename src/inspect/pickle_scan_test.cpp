// SPDX-License-Identifier: Apache-2.0
#include "inspect/pickle_scan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "inspect/inspect_file.h"

namespace {

using namespace mlxguard::inspect;
using mlxguard::as_bytes;
using namespace std::string_literals;

FileReport scanned(std::string_view bytes) {
  FileReport report;
  Findings findings(report);
  scan_pickle(as_bytes(bytes), 0, findings);
  return report;
}

/// "rule evidence" of all findings but the pickle itself.
std::vector<std::string> said(std::string_view bytes) {
  std::vector<std::string> out;
  for (const Finding& finding : scanned(bytes).findings) {
    if (finding.rule != Rule::kPickleFile) {
      out.push_back(std::string(describe(finding.rule).id) + " " + finding.evidence);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

using Said = std::vector<std::string>;

}  // namespace

TEST_CASE("pickle: plain data has no import") {
  CHECK(said("\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94\x8c\x01"
             "a\x94K\x01s."s) == Said{});
  CHECK(said("(lp0\nI1\naS'x'\np1\na."s) == Said{});
  const FileReport report = scanned("\x80\x02}."s);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].rule == Rule::kPickleFile);
  CHECK(report.findings[0].reason == "a pickle of protocol 2 that imports nothing");
}

TEST_CASE("pickle: every way to import is seen") {
  CHECK(said("cos\nsystem\n(S'id'\ntR."s) == Said{"pickle.code os.system"});
  CHECK(said("(S'id'\nios\nsystem\n."s) == Said{"pickle.code os.system"});
  CHECK(said("(cos\nsystem\nS'id'\no."s) == Said{"pickle.code os.system"});
  CHECK(said("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R."s) ==
        Said{"pickle.code os.system"});
  // The names come from the memo, out of order.
  CHECK(said("\x80\x04\x8c\x06system\x94"
             "0\x8c\x02os\x94"
             "0h\x01h\0\x93."s) == Said{"pickle.code os.system"});
  CHECK(said("\x80\x02U\x02osq\x05U\x06systemr\x07\0\0\0"
             "00h\x05j\x07\0\0\0\x93."s) == Said{"pickle.code os.system"});
  CHECK(said("\x80\x02U\x02osU\x06system2"
             "0\x93."s) == Said{"pickle.code os.system"});
  CHECK(said("\x80\x02\x82\x07."s) == Said{"pickle.import copyreg extension 7"});
  // A name that is computed, or hides behind escapes.
  CHECK(said("\x80\x04N\x8c\x06system\x93."s) == Said{"pickle.code a computed name: system"});
  CHECK(said("S'\\x6fs'\nS'system'\n\x93."s) == Said{"pickle.code a computed name: system"});
}

TEST_CASE("pickle: imports are judged by what they can do") {
  const auto danger = [](std::string_view module, std::string_view name) {
    return danger_of_import(module, name);
  };
  for (const auto& [module, name] : std::vector<std::pair<std::string, std::string>>{
           {"os", "system"},
           {"posix", "system"},
           {"nt", "system"},
           {"subprocess", "Popen"},
           {"os.path", "join"},
           {"builtins", "eval"},
           {"__builtin__", "exec"},
           {"builtins", "getattr"},
           {"sys", "modules"},
           {"torch", "os.system"},
           {"torch.serialization", "os.system"},
           {"collections", "__builtins__.eval"},
           {"operator", "attrgetter"},
           {"functools", "partial"},
           {"runpy", "run_path"},
           {"pip", "main"},
           {"torch.hub", "load"},
           {"torch.storage", "_load_from_bytes"},
           {"numpy.testing._private.utils", "runstring"},
           {"builtins", "dict.__class__"},
           {"importlib", "import_module"},
           {"ctypes", "CDLL"}}) {
    CAPTURE(module);
    CAPTURE(name);
    CHECK(danger(module, name) == ImportDanger::kRunsCode);
  }
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"collections", "OrderedDict"},
                                                        {"torch._utils", "_rebuild_tensor_v2"},
                                                        {"torch", "FloatStorage"},
                                                        {"torch", "bfloat16"},
                                                        {"numpy", "dtype"},
                                                        {"numpy.core.multiarray", "_reconstruct"},
                                                        {"builtins", "set"},
                                                        {"__builtin__", "set"},
                                                        {"_codecs", "encode"}}) {
    CAPTURE(module);
    CAPTURE(name);
    CHECK(danger(module, name) == ImportDanger::kHarmless);
  }
  CHECK(danger("my_package.model", "Net") == ImportDanger::kUnknown);
  CHECK(danger("torch", "x.FloatStorage") == ImportDanger::kUnknown);
  CHECK(said("cmine\nThing\n."s) == Said{"pickle.import mine.Thing"});
}

TEST_CASE("pickle: what a loader runs before it fails is reported, with the place of the failure") {
  const FileReport report = scanned("cos\nsystem\n(S'id'\ntR\xff"s);
  REQUIRE(report.findings.size() == 3);
  CHECK(report.findings[0].rule == Rule::kPickleCode);
  CHECK(report.findings[0].offset == 0);
  CHECK(report.findings[1].rule == Rule::kPickleInvalid);
  CHECK(report.findings[1].offset == 20);
  for (const std::string& broken :
       {"\x80\x04\x8c\xffos"s, "\x80\x02X\xff\xff\xff\x7f"s,
        "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffx"s, "\x80\x02}"s, "\x80\x02R."s,
        "\x80\x02h\x05."s, "\x80\x02t."s, "\x80"s, "cos\nsystem"s}) {
    const Said all = said(broken);
    CHECK(std::count(all.begin(), all.end(), "pickle.invalid ") == 1);
  }
}

TEST_CASE(
    "pickle: a second pickle behind the first is read, and data behind it is not taken for one") {
  CHECK(said("\x80\x02}.\x80\x02"
             "cos\nsystem\n."s) == Said{"pickle.code os.system"});
  CHECK(said("\x80\x02}.cos\nsystem\n."s) == Said{"pickle.code os.system"});
  CHECK(said("\x80\x02}.\0\x01\x02\xff\xff"s) == Said{});
}

TEST_CASE("pickle: is told by its content under any name") {
  for (const std::string name : {"model.safetensors", "noname", "config.json", "x.pkl", "w.npy"}) {
    CAPTURE(name);
    for (const std::string& bytes :
         {"\x80\x04\x8c\x02os\x8c\x06system\x93."s, "cos\nsystem\n(S'id'\ntR."s}) {
      const FileReport report = inspect_file(as_bytes(bytes), {name, {}});
      CHECK(std::any_of(report.findings.begin(), report.findings.end(),
                        [](const Finding& finding) { return finding.rule == Rule::kPickleCode; }));
    }
  }
}

TEST_CASE("pickle: the memo is the loader's, however its numbers are written") {
  // Python reads " 1", "+1", "0001" and "0_1" as 1. Taken for 0, the names would stay harmless.
  for (const std::string& number :
       {" 1"s, "+1"s, "0000000000000000000000001"s, "0_1"s, "1 "s, "\t1"s, "1\0junk"s}) {
    CAPTURE(number);
    const std::string names = "Vcollections\np1\n0VOrderedDict\np2\n0";
    const std::string again = "Vos\np" + number + "\n0Vsystem\np2\n0";
    CHECK(said(names + again + "g1\ng2\n\x93)R."s) == Said{"pickle.code os.system"});
  }
  for (const char* const number :
       {"", "x", "-1", "1__2", "_1", "1_", "0x1", "99999999999999999999"}) {
    CAPTURE(number);
    CHECK(said("I1\np"s + number + "\n.") == Said{"pickle.invalid "});
  }
}

TEST_CASE("pickle: what runs code is told first and never pushed out by many other names") {
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "caaaa\nn" + std::to_string(i) + "\n0";
  const FileReport report = scanned(many + "cos\nsystem\n(S'id'\ntR.");
  CHECK(report.findings.front().rule == Rule::kPickleCode);
  CHECK_FALSE(report.gap.empty());
  for (int i = 2000; i < 10'001; ++i) many += "caaaa\nn" + std::to_string(i) + "\n0";
  CHECK_FALSE(scanned(many + "cos\nsystem\n(S'id'\ntR.").gap.empty());
}

TEST_CASE("pickle: names behind a break in the stream are seen") {
  const std::string array(64, '\xff');
  CHECK(said("\x80\x04}\x94" + array + "\x8c\x02os\x94\x8c\x06system\x94\x93."s) ==
        Said{"pickle.code os.system", "pickle.invalid "});
  CHECK(said("\x80\x02}q\0"s + array + "cposix\nsystem\n.") ==
        Said{"pickle.code posix.system", "pickle.invalid "});
  CHECK(said("\x80\x04}\x94" + array + "cosmos\nsystem\n."s) == Said{"pickle.invalid "});
}

TEST_CASE("pickle: one that breaks off after a call is one, whatever it called") {
  CHECK(is_pickle(as_bytes("cevil\nrun\n(tR")));
  CHECK(is_pickle(as_bytes("(S'x'\nievil\nrun\n\xff")));
  CHECK_FALSE(is_pickle(as_bytes("cevil\nrun\n")));
  CHECK_FALSE(is_pickle(as_bytes("compute the mean\nof all rows\n(tR")));
  FileContext context;
  for (const std::string name : {"m.pkl", "m.pickle", "m.joblib", "m.dill", "m.ckpt", "m.pt"}) {
    CAPTURE(name);
    context.name = name;
    const FileReport report = inspect_file(as_bytes("some words\n"), context);
    CHECK(report.format == "pickle");
    CHECK(report.findings.front().rule == Rule::kPickleInvalid);
  }
}

TEST_CASE("pickle: what harmless libraries write is not critical") {
  for (const auto& [module, name] : std::vector<std::pair<std::string, std::string>>{
           {"builtins", "type"},
           {"pathlib._local", "PosixPath"},
           {"_io", "BytesIO"},
           {"numpy.random._pickle", "__bit_generator_ctor"},
           {"numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"},
           {"torch.jit._pickle", "build_intlist"}}) {
    CAPTURE(name);
    CHECK(danger_of_import(module, name) != ImportDanger::kRunsCode);
  }
  CHECK(danger_of_import("pathlib", "Path.write_text") == ImportDanger::kRunsCode);
  CHECK(danger_of_import("_io", "open") == ImportDanger::kRunsCode);
  CHECK(danger_of_import("torch.jit._pickle", "os.system") == ImportDanger::kRunsCode);
}
