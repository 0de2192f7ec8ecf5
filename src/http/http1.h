// SPDX-License-Identifier: Apache-2.0
// Http1: a connection that speaks HTTP/1.1 or 1.0, one request after another; the exchange of the
// request in progress. Internal to this library.
#pragma once

#include "http/connection.h"
#include "http/exchange.h"
#include "http/format.h"

namespace mlxguard::http {

class Http1 final : public Exchange {
 public:
  explicit Http1(Connection& connection) : connection_(connection) {}
  ~Http1() override { connection_.server().let_go(held_); }

  [[nodiscard]] Task<void> run(Welcome welcome);

  // Exchange
  [[nodiscard]] const RequestHead& head() const override;
  [[nodiscard]] const Client& client() const override { return connection_.client(); }
  [[nodiscard]] Task<Result<std::string_view>> read_body() override;
  void drop_body() override;
  [[nodiscard]] Task<Result<void>> respond(ResponseHead head, std::string_view body) override;
  [[nodiscard]] Task<Result<void>> begin(ResponseHead head) override;
  [[nodiscard]] Task<Result<void>> write(std::string_view bytes) override;
  [[nodiscard]] Task<Result<void>> write_file(int fd, std::uint64_t offset,
                                              std::uint64_t length) override;
  [[nodiscard]] Task<Result<void>> finish(Headers trailers) override;
  [[nodiscard]] Task<Result<void>> send_interim() override;
  [[nodiscard]] bool has_begun() const override { return stage_ != Stage::kWaiting; }
  [[nodiscard]] std::uint64_t bytes_sent() const override { return bytes_sent_; }
  void when_gone(std::function<void()> callback) override {
    connection_.watch(std::move(callback));
  }
  [[nodiscard]] bool is_gone() const override { return connection_.is_gone(); }

 private:
  enum class Stage : std::uint8_t { kWaiting, kStreaming, kDone };

  [[nodiscard]] Task<Result<bool>> read_head();
  [[nodiscard]] Task<bool> serve_one();
  [[nodiscard]] Task<void> refuse(Error error);
  [[nodiscard]] Task<void> end_answer();
  [[nodiscard]] Result<void> parse_unread();
  [[nodiscard]] bool skip_received_body();
  [[nodiscard]] std::string start(ResponseHead& head);
  [[nodiscard]] Task<Result<void>> write_stretches(std::string head, std::string_view body);
  void count(std::uint64_t bytes);

  Connection& connection_;
  std::optional<RequestParser> parser_;
  std::uint64_t held_ = 0;        ///< bytes of the body that are counted by the server
  std::optional<Error> refusal_;  ///< set when what came is no request

  // The answer in progress.
  Stage stage_ = Stage::kWaiting;
  Framing framing_ = Framing::kLength;
  bool stays_ = false;      ///< the connection serves a further request after this answer
  bool is_head_ = false;    ///< an answer to HEAD
  std::uint64_t left_ = 0;  ///< bytes of the announced length that are still to come
  std::uint64_t bytes_sent_ = 0;
};

}  // namespace mlxguard::http
