// SPDX-License-Identifier: Apache-2.0
// The store below the model line; tests/e2e/test_model_store.py is what a user sees of it.
#include "artifact/store.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/random.h"

using namespace mlxguard;
using namespace mlxguard::artifact;
namespace fs = std::filesystem;

namespace {

class TempStore {
 public:
  TempStore() {
    std::string name = (fs::temp_directory_path() / "mlxguard-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    state_ = name;
  }
  ~TempStore() {
    for (const auto& entry : fs::recursive_directory_iterator(state_)) {
      if (entry.is_directory()) fs::permissions(entry.path(), fs::perms::owner_all);
    }
    fs::remove_all(state_);
  }
  TempStore(const TempStore&) = delete;
  TempStore& operator=(const TempStore&) = delete;

  Store open() {
    auto store = Store::open(state_, random_);
    REQUIRE(store.has_value());
    return *std::move(store);
  }
  /// A model of two files that nobody signed: the store does not ask.
  StoredModel add(const Store& store, const std::string& name, char digit) {
    auto incoming = store.begin();
    REQUIRE(incoming.has_value());
    for (const char* file : {"a", "b"}) {
      const UniqueFd fd(::openat(incoming->folder().get(), file, O_WRONLY | O_CREAT, 0400));
      REQUIRE(::write(fd.get(), "text", 4) == 4);
    }
    StoredModel model;
    model.name = name;
    model.root_digest = std::string(64, digit);
    model.policy = "none";
    auto finished = store.finish(*std::move(incoming), std::move(model));
    REQUIRE(finished.has_value());
    return *std::move(finished);
  }
  [[nodiscard]] fs::path folder(char digit) const {
    return state_ / "store/models" / std::string(64, digit);
  }

 private:
  fs::path state_;
  crypto::SystemRandom random_;
};

}  // namespace

TEST_CASE("store: a record is renewed for the files that were hashed, all of them") {
  TempStore place;
  const Store store = place.open();
  const StoredModel model = place.add(store, "one", '1');
  REQUIRE(model.files.size() == 2);
  StoredModel renewed = model;
  renewed.policy = "version 7";
  renewed.files.pop_back();  // it was touched while it was hashed
  CHECK(store.renew(renewed).error().code == ErrorCode::kArtifactChanged);
  CHECK(store.find("one")->policy == "none");
  renewed.files = model.files;
  renewed.files.front().second.changed_ns += 1;
  REQUIRE(store.renew(renewed).has_value());
  // As it was hashed, not as it may be by now.
  CHECK(store.find("one")->files == renewed.files);
  CHECK(store.find("store:one")->policy == "version 7");
}

TEST_CASE("store: what was killed is cleaned up by the next, and nothing else") {
  TempStore place;
  const Store store = place.open();
  const StoredModel kept = place.add(store, "kept", '1');
  { static_cast<void>(place.add(store, "torn", '2')); }
  REQUIRE(
      fs::remove(place.folder('2').parent_path().parent_path() / "records" / std::string(64, '2')));
  REQUIRE(fs::exists(place.folder('2')));
  static_cast<void>(place.add(store, "next", '3'));
  CHECK(fs::exists(place.folder('1')));
  CHECK_FALSE(fs::exists(place.folder('2')));
  CHECK(fs::exists(place.folder('3')));
  CHECK(store.find(kept.root_digest)->name == "kept");
}
