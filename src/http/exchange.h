// SPDX-License-Identifier: Apache-2.0
// Exchange: one request and its answer, the same over HTTP/1.1 and HTTP/2, encrypted or not.
// Handler: what a server calls for each request; the gateway, the mirror and the admin page each
// implement one. The session reads and bounds what the client sends; a handler decides.
//
// A handler reads the body, asks to be told when the client goes before it starts anything that
// takes long, and answers:
//
//   auto body = co_await exchange.read_body();
//   if (!body) co_return co_await answer_error(exchange, body.error());
//   exchange.when_gone(on_gone);
//   if (!co_await exchange.begin(head)) co_return;
//   while (auto part = co_await call->next()) if (!co_await exchange.write(*part)) co_return;
//   (void)co_await exchange.finish();
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "async/task.h"
#include "base/result.h"
#include "http/message.h"

namespace mlxguard::http {

using async::Task;

/// Lives until the handler's coroutine has returned, and no longer. All calls on the event loop's
/// thread. At most one of its tasks may be awaited at a time.
class Exchange {
 public:
  virtual ~Exchange() = default;
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  [[nodiscard]] virtual const RequestHead& head() const = 0;
  [[nodiscard]] virtual const Client& client() const = 0;

  // ---- the request's body ----

  /// Reads the whole body, within its bounds of size and time and within the budget that the bodies
  /// of all connections share. A request without a body yields an empty view. The view is valid
  /// until drop_body() or the handler's end. A second call returns the same.
  /// Errors: kRequestTooLarge, kRequestSyntax, kRequestTimeout, kMemoryFull, kClientGone.
  [[nodiscard]] virtual Task<Result<std::string_view>> read_body() = 0;
  /// Frees the body and its share of the budget. For handlers that wait long after decoding it.
  virtual void drop_body() = 0;

  // ---- the answer: respond(), or begin(), any number of write() and write_file(), finish() ----
  //
  // A handler answers each request exactly once. One that returns without an answer is a bug; its
  // client gets 500. One that returns between begin() and finish() ends the answer in a way that
  // the client can tell from a whole one: the connection closes (HTTP/1.1) or the stream is reset
  // (HTTP/2).
  //
  // All of them return kClientGone when the client went away or did not take its bytes in time;
  // after that every further call returns it too, and the handler should just return. An answer to
  // HEAD has no body: what is written is counted and dropped.

  /// Sends a whole answer. `body` must stay valid until the task returns.
  [[nodiscard]] virtual Task<Result<void>> respond(ResponseHead head, std::string_view body) = 0;

  /// Sends the head of a streamed answer.
  [[nodiscard]] virtual Task<Result<void>> begin(ResponseHead head) = 0;
  /// Sends bytes of the body now, in one chunk or DATA frame if they fit. Returns when all of them
  /// were handed to the socket: a slow client holds its handler up, and nothing queues. Each
  /// stretch of at most 256 KiB must be taken within the server's write timeout.
  [[nodiscard]] virtual Task<Result<void>> write(std::string_view bytes) = 0;
  /// Sends part of an open file, without copying it through this process where that is possible.
  /// `fd` stays the caller's. A file that ends early ends the answer: kClientGone.
  [[nodiscard]] virtual Task<Result<void>> write_file(int fd, std::uint64_t offset,
                                                      std::uint64_t length) = 0;
  /// Ends a streamed answer. Trailers are sent over HTTP/2, and over HTTP/1.1 to a client that said
  /// "TE: trailers"; others do not get them.
  [[nodiscard]] virtual Task<Result<void>> finish(Headers trailers = {}) = 0;

  /// Sends an interim "100 Continue" before the answer begins. Clients that wait for long reset
  /// their read timeout at it (RFC 9110, 15.2 allows any number, asked for or not). HTTP/1.0
  /// clients do not know it: nothing is sent to them.
  [[nodiscard]] virtual Task<Result<void>> send_interim() = 0;

  [[nodiscard]] virtual bool has_begun() const = 0;
  /// Bytes of the answer's body that were handed to the socket so far, without chunk framing.
  [[nodiscard]] virtual std::uint64_t bytes_sent() const = 0;

  // ---- the client ----

  /// Calls `callback` once, as soon as the client is known to have gone, so that work for it can be
  /// cancelled; at once if that is known already. Called on the event loop's thread, outside of any
  /// task of this exchange; it must not destroy the exchange. Replaces an earlier callback; nullptr
  /// removes it. Nothing is called after the handler has returned.
  ///
  /// What counts as gone: the connection was reset, a write to it failed, the HTTP/2 stream was
  /// reset. The end of the client's stream (FIN) alone does not count: `printf ... | nc -N`, socat
  /// and some health checks close their sending half and wait for the answer, and nginx, which
  /// takes every FIN for a lost client, fails them. A client that closed its whole socket sends the
  /// same FIN, but answers the next segment with a reset. So after a FIN an HTTP/1.1 session sends
  /// one interim "100 Continue", which every client must take, and learns within a round trip which
  /// of the two it was. HTTP/1.0 knows no interim answers: there the first write finds out.
  virtual void when_gone(std::function<void()> callback) = 0;
  [[nodiscard]] virtual bool is_gone() const = 0;
};

class Handler {
 public:
  virtual ~Handler() = default;

  /// Answers one request. Several run at a time: one a connection over HTTP/1.1, one a stream over
  /// HTTP/2. The exchange outlives the task.
  [[nodiscard]] virtual Task<void> handle(Exchange& exchange) = 0;

  /// Answers what never became a request: not well-formed, too slow, too large, one connection too
  /// many. `exchange.head()` holds what was understood before that, perhaps nothing; read_body()
  /// returns the same error. The connection closes after the answer. `error` is one of
  /// kRequestSyntax, kHeadersTooLarge, kRequestTimeout, kConnectionsFull.
  [[nodiscard]] virtual Task<void> refuse(Exchange& exchange, Error error) = 0;
};

}  // namespace mlxguard::http
