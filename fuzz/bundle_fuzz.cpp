// SPDX-License-Identifier: Apache-2.0
// Any bytes as a bundle, and as the statement inside of one: what is accepted keeps every promise
// that verification stands on, and reads back the same after it is written.
#include <cstdint>
#include <set>

#include "base/check.h"
#include "base/limits.h"
#include "signature/bundle.h"
#include "signature/statement.h"

using namespace mlxguard;

namespace {

void check_bundle(std::string_view text, signature::Material material) {
  const auto bundle = signature::parse_bundle(text, material);
  if (!bundle) return;
  MLXGUARD_CHECK(!bundle->key_hint || bundle->key_hint->size() == 64);
  const auto again = signature::parse_bundle(signature::write_bundle(*bundle), material);
  MLXGUARD_CHECK(again.has_value());
  MLXGUARD_CHECK(again->payload == bundle->payload && again->signature == bundle->signature &&
                 again->key_hint == bundle->key_hint &&
                 again->certificates == bundle->certificates);
  MLXGUARD_CHECK(bundle->certificates.empty() || !bundle->key_hint);
  MLXGUARD_CHECK(material == signature::Material::kEither ||
                 bundle->certificates.empty() == (material == signature::Material::kKey));
}

void check_statement(std::string_view text) {
  const auto statement = signature::parse_statement(text);
  if (!statement) return;
  MLXGUARD_CHECK(!statement->resources.empty());
  MLXGUARD_CHECK(signature::root_digest_of(statement->resources) == statement->root_digest);
  std::set<std::string_view> names;
  for (const auto& resource : statement->resources) {
    const std::string& name = resource.name;
    MLXGUARD_CHECK(names.insert(name).second);
    MLXGUARD_CHECK(!name.empty() && name.front() != '/' && name.back() != '/');
    MLXGUARD_CHECK(("/" + name + "/").find("/../") == std::string::npos);
    MLXGUARD_CHECK(name.find('\0') == std::string::npos);
    for (const std::string& ignored : statement->ignored_paths) {
      MLXGUARD_CHECK(name != ignored && !name.starts_with(ignored + "/"));
    }
  }
  const auto again = signature::parse_statement(signature::write_statement(*statement));
  MLXGUARD_CHECK(again.has_value());
  MLXGUARD_CHECK(again->root_digest == statement->root_digest &&
                 again->subject_name == statement->subject_name &&
                 again->resources.size() == statement->resources.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto material : {signature::Material::kKey, signature::Material::kCertificates,
                              signature::Material::kEither}) {
    check_bundle(text, material);
  }
  check_statement(text);
  return 0;
}
