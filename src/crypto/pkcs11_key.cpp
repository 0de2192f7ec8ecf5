// SPDX-License-Identifier: Apache-2.0
#include "crypto/pkcs11_key.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <thread>
#include <utility>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "crypto/passphrase.h"
#include "crypto/pkcs11_uri.h"
#include "crypto/pkcs11_wire.h"

namespace mlxguard::crypto {
namespace {

constexpr const char* kProgram = "mlxguard-token";
constexpr auto kEndWithin = std::chrono::seconds(2);
constexpr auto kLookEvery = std::chrono::milliseconds(5);

Result<std::filesystem::path> program_of(const TokenOptions& options) {
  if (!options.program.empty()) return options.program;
  std::error_code problem;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", problem);
  if (problem) return os_error("find", "/proc/self/exe", problem.value());
  return self.parent_path() / kProgram;
}

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
  [[nodiscard]] static Result<Pipe> make() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("make a pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
};

/// The process that runs the module; ended when this dies.
class TokenProcess {
 public:
  [[nodiscard]] static Result<TokenProcess> start(const TokenOptions& options) {
    MLXGUARD_TRY_ASSIGN(const std::filesystem::path program, program_of(options));
    MLXGUARD_TRY_ASSIGN(Pipe to, Pipe::make());
    MLXGUARD_TRY_ASSIGN(Pipe from, Pipe::make());
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, to.reader.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, from.writer.get(), STDOUT_FILENO);
    std::array<char*, 2> arguments{const_cast<char*>(kProgram), nullptr};
    pid_t pid = -1;
    const int problem =
        ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) {
      return make_error(ErrorCode::kTokenModule, "the program for tokens cannot be started")
          .about(program.string())
          .hinting("mlxguard-token belongs beside mlxguard");
    }
    return TokenProcess(pid, std::move(to.writer), std::move(from.reader), options.answer_within);
  }

  [[nodiscard]] Result<Secret> ask(TokenTag tag, Bytes body) const {
    MLXGUARD_TRY(write_frame(requests_.get(), tag, body));
    MLXGUARD_TRY_ASSIGN(TokenFrame answer, read_frame(answers_.get(), answer_within_));
    if (answer.tag == TokenTag::kDone) return std::move(answer.body);
    return read_failure(answer.body.bytes());
  }

  TokenProcess(TokenProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        requests_(std::move(other.requests_)),
        answers_(std::move(other.answers_)),
        answer_within_(other.answer_within_) {}
  TokenProcess& operator=(TokenProcess&&) = delete;
  TokenProcess(const TokenProcess&) = delete;
  TokenProcess& operator=(const TokenProcess&) = delete;
  ~TokenProcess() {
    if (pid_ < 0) return;
    requests_.reset();  // it ends by itself: logs out, finalises the module
    const auto until = std::chrono::steady_clock::now() + kEndWithin;
    while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > until) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        return;
      }
      std::this_thread::sleep_for(kLookEvery);
    }
  }

 private:
  TokenProcess(pid_t pid, UniqueFd requests, UniqueFd answers, std::chrono::milliseconds within)
      : pid_(pid),
        requests_(std::move(requests)),
        answers_(std::move(answers)),
        answer_within_(within) {}
  pid_t pid_;
  UniqueFd requests_;
  UniqueFd answers_;
  std::chrono::milliseconds answer_within_;
};

class Pkcs11Key final : public Signer {
 public:
  Pkcs11Key(TokenProcess process, EcPublicKey key)
      : process_(std::move(process)), public_key_(std::move(key)) {}

  [[nodiscard]] const EcPublicKey& public_key() const override { return public_key_; }

  [[nodiscard]] Result<std::vector<std::uint8_t>> sign(Bytes message) const override {
    const auto digest = digest_for(public_key_.curve(), message);
    MLXGUARD_TRY_ASSIGN(const Secret raw, process_.ask(TokenTag::kSign, digest));
    MLXGUARD_TRY_ASSIGN(auto signature, der_of_raw_signature(public_key_.curve(), raw.bytes()));
    // A module that is wrong, or faulty hardware, must not put a bad signature into the world.
    if (!public_key_.verify(message, signature)) {
      return make_error(ErrorCode::kToken, "the token's signature does not verify under its key");
    }
    return signature;
  }

 private:
  TokenProcess process_;
  EcPublicKey public_key_;
};

Result<Secret> read_pin(const Pkcs11Uri& uri, const PinSource& pin) {
  if (!uri.pin_file) return pin();
  return passphrase_from_file(*uri.pin_file, PassphraseUse::kOpen);
}

Result<std::unique_ptr<Signer>> open_or_generate(std::string_view uri_text,
                                                 std::optional<Curve> generate,
                                                 const PinSource& pin,
                                                 const TokenOptions& options) {
  MLXGUARD_TRY_ASSIGN(const Pkcs11Uri uri, Pkcs11Uri::parse(uri_text));
  MLXGUARD_TRY_ASSIGN(TokenProcess process, TokenProcess::start(options));
  MLXGUARD_TRY_ASSIGN(const Secret opened, process.ask(TokenTag::kOpen, as_bytes(uri.text())));
  if (generate) {
    const std::array curve{static_cast<std::uint8_t>(*generate)};
    MLXGUARD_TRY(process.ask(TokenTag::kGenerate, curve));
  }
  Secret secret;
  if (opened.size() == 1 && opened.bytes()[0] == static_cast<std::uint8_t>(TokenLogin::kPin)) {
    MLXGUARD_TRY_ASSIGN(secret, read_pin(uri, pin));
    if (secret.size() == 0) return make_error(ErrorCode::kTokenPin, "the PIN is empty");
  }
  MLXGUARD_TRY_ASSIGN(const Secret found, process.ask(TokenTag::kLogin, secret.bytes()));
  MLXGUARD_TRY_ASSIGN(const auto blocks, split_blocks(found.bytes()));
  MLXGUARD_TRY_ASSIGN(EcPublicKey key, EcPublicKey::from_token(blocks.first, blocks.second));
  return std::unique_ptr<Signer>(std::make_unique<Pkcs11Key>(std::move(process), std::move(key)));
}

}  // namespace

Result<std::unique_ptr<Signer>> open_pkcs11_key(std::string_view uri, const PinSource& pin,
                                                const TokenOptions& options) {
  return open_or_generate(uri, std::nullopt, pin, options);
}

Result<std::unique_ptr<Signer>> generate_pkcs11_key(std::string_view uri, Curve curve,
                                                    const PinSource& pin,
                                                    const TokenOptions& options) {
  return open_or_generate(uri, curve, pin, options);
}

}  // namespace mlxguard::crypto
