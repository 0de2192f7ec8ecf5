// SPDX-License-Identifier: Apache-2.0
#include "signature/findings.h"

#include <doctest/doctest.h>

namespace mlxguard::signature {
namespace {

artifact::FileDigest file(const std::string& name, std::uint8_t digest) {
  return {name, 0, {digest}};
}

std::string shown(const Findings& findings) {
  std::string text;
  for (const Error& finding : findings) {
    text += std::string(name_of(finding.code)) + " " + finding.subject + " " + finding.expected +
            ">" + finding.actual + "\n";
  }
  return text;
}

TEST_CASE("findings: changed files first, then missing, then unsigned, each by name") {
  const std::vector<artifact::FileDigest> wanted{file("a", 1), file("b", 2), file("d", 3),
                                                 file("y", 4)};
  const std::vector<artifact::FileDigest> present{file("a", 9), file("c", 7), file("d", 3),
                                                  file("x", 4)};
  CHECK(shown(compare_digests(wanted, present)) ==
        "signature.digest_mismatch a 01>09\n"
        "signature.file_missing b 02>\n"
        "signature.file_missing y 04>\n"
        "signature.file_unsigned c >07\n"
        "signature.file_unsigned x >04\n");
}

TEST_CASE("findings: names alone find what is missing and what is too many") {
  const std::vector<artifact::FileDigest> wanted{file("a", 1), file("b", 2)};
  const std::vector<artifact::FileEntry> present{{"b", 5}, {"c", 5}};
  CHECK(shown(compare_names(wanted, present)) ==
        "signature.file_missing a 01>\n"
        "signature.file_unsigned c >\n");
}

TEST_CASE("findings: equal lists have none; names compare by bytes") {
  const std::vector<artifact::FileDigest> wanted{file("A", 1), file("a", 2)};
  CHECK(compare_digests(wanted, wanted).empty());
  const std::vector<artifact::FileDigest> swapped{file("A", 2), file("a", 1)};
  CHECK(compare_digests(wanted, swapped).size() == 2);
  CHECK(compare_digests({}, {}).empty());
}

}  // namespace
}  // namespace mlxguard::signature
