// SPDX-License-Identifier: Apache-2.0
// Any bytes as an advisory database, under a digest that is right: the digest tells damage, not
// intent, so rows, keys and records are read as if nobody had checked them.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "advisories/database.h"
#include "advisories/match.h"
#include "base/byte_reader.h"
#include "base/check.h"
#include "base/unique_fd.h"
#include "crypto/digest.h"

using namespace mlxguard;

namespace {

/// One file for the whole run, written anew for each input.
struct Place {
  std::string path = "/tmp/mlxguard-fuzz-database-XXXXXX";
  UniqueFd fd{::mkstemp(path.data())};
  Place() { MLXGUARD_CHECK(fd.is_open()); }
  ~Place() { ::unlink(path.c_str()); }
};

void write_all(const Place& place, const std::string& text) {
  MLXGUARD_CHECK(::ftruncate(place.fd.get(), 0) == 0);
  MLXGUARD_CHECK(::pwrite(place.fd.get(), text.data(), text.size(), 0) ==
                 static_cast<ssize_t>(text.size()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Place place;
  std::string text(reinterpret_cast<const char*>(data), size);
  const crypto::Sha256Digest digest = crypto::sha256(as_bytes(text));
  text.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  write_all(place, text);
  const auto database = advisories::Database::open(place.path);
  if (!database) return 0;
  for (const std::string& key : database->keys()) {
    MLXGUARD_CHECK(database->knows(key));
    const auto records = database->find(key);
    if (!records) continue;
    for (const advisories::Record& record : *records) {
      for (const advisories::Affected& affected : record.affected) {
        MLXGUARD_CHECK(affected.key == key);
        (void)advisories::match(affected, "1.0");
      }
    }
  }
  MLXGUARD_CHECK(!database->knows("pypi/no such package"));
  return 0;
}
