// SPDX-License-Identifier: Apache-2.0
// Connection: the handshake, the received bytes that are not yet parsed, the deadline, and the
// watch for a client that goes away while it waits for its answer. Which protocol the bytes are in
// is decided here; http1.h speaks it. Internal to this library.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "async/event.h"
#include "http/server_state.h"

namespace mlxguard::http {

inline constexpr std::size_t kReadBytes = 16u << 10;
inline constexpr std::size_t kLargeReadBytes = 256u << 10;
/// What of an answer must be taken within one write timeout.
inline constexpr std::size_t kStretchBytes = 256u << 10;

enum class Welcome : std::uint8_t { kServe, kTurnAway };

class Connection final : public Connected,
                         public ReadSink,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::unique_ptr<Stream> stream, ServerState& server, Client client);
  ~Connection() override;

  /// The connection's whole life.
  [[nodiscard]] Task<void> run(Welcome welcome);

  // Connected
  [[nodiscard]] SteadyTime deadline() const override { return deadline_; }
  void expire() override;
  void drain() override;
  // ReadSink
  void on_read(ReadOutcome outcome) override;

  [[nodiscard]] ServerState& server() { return server_; }
  [[nodiscard]] const ServerOptions& options() const { return server_.options(); }
  [[nodiscard]] const Client& client() const { return client_; }

  void allow(std::chrono::milliseconds time) {
    allow_until(std::chrono::steady_clock::now() + time);
  }
  void allow_until(SteadyTime deadline) {
    expired_ = false;
    deadline_ = deadline;
  }
  void allow_forever() { allow_until(SteadyTime::max()); }

  // ---- received bytes ----

  [[nodiscard]] std::span<const char> unread() const {
    return {buffer_.data() + read_, filled_ - read_};
  }
  void consume(std::size_t bytes) { read_ += bytes; }
  /// Reads what is there, at most `bytes_max` more. Errors: kRequestTimeout after the deadline,
  /// kTruncated at the end of the client's bytes.
  [[nodiscard]] Task<Result<void>> read_more(std::size_t bytes_max);
  /// Waits for the first byte of a request; false if none comes. A server that drains ends it.
  [[nodiscard]] Task<bool> wait_for_bytes();

  // ---- bytes to send ----

  /// Sends the pieces within the write timeout. Errors: kClientGone.
  [[nodiscard]] Task<Result<void>> send(Pieces pieces);
  /// Sends part of a file, each stretch within the write timeout. Errors: kClientGone, also when
  /// the file ends early.
  [[nodiscard]] Task<Result<void>> send_file(int fd, std::uint64_t offset, std::uint64_t length);
  /// Lets the client read what was sent before the connection closes.
  [[nodiscard]] Task<void> linger();
  void reset() { stream_->reset(); }

  // ---- a client that goes away ----

  /// See Exchange::when_gone.
  void watch(std::function<void()> callback);
  [[nodiscard]] bool is_gone() const { return gone_; }
  /// Whether an interim answer may be sent to find out if a client that finished is still there.
  void let_probe(bool allowed) { may_probe_ = allowed; }

 private:
  void make_room(std::size_t bytes);
  void read_ahead();
  void take(ReadOutcome outcome);
  [[nodiscard]] Task<void> find_out_whether_gone();
  void set_gone();

  std::unique_ptr<Stream> stream_;
  ServerState& server_;
  Client client_;

  std::vector<char> buffer_;  ///< [read_, filled_) is received and not yet parsed
  std::size_t read_ = 0;
  std::size_t filled_ = 0;
  bool finished_ = false;       ///< the client sends nothing more
  bool reading_ahead_ = false;  ///< a read is under way that nobody awaits
  bool awaited_ = false;        ///< by now somebody does
  async::Event arrived_;

  SteadyTime deadline_ = SteadyTime::max();
  bool expired_ = false;
  bool idle_ = false;  ///< between two requests

  bool sending_ = false;
  async::Event sent_;
  bool gone_ = false;
  bool finding_out_ = false;
  bool may_probe_ = false;
  std::function<void()> on_gone_;
};

}  // namespace mlxguard::http
