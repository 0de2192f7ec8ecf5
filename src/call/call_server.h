// SPDX-License-Identifier: Apache-2.0
// CallServer: the server's end of calls, for a process that computes and has one thread. It owns
// any number of channels, looks at them between steps, and never waits for room to send: a call
// whose client does not read, or gave no credit, is not stepped. Input: a client that may be
// compromised. One that breaks the protocol loses its channel and its calls; nothing else happens.
#pragma once

#include <poll.h>

#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "call/run.h"
#include "wire/channel.h"

namespace mlxguard::call {

struct CallServerOptions {
  std::size_t channels_max = 16;  ///< a further one takes the place of the oldest
  std::size_t running_max = 8;    ///< calls that have begun and not ended, over all channels
};

class CallServer {
 public:
  /// `clock` outlives the server.
  CallServer(Begin begin, const Clock& clock, CallServerOptions options = {});
  ~CallServer();
  CallServer(const CallServer&) = delete;
  CallServer& operator=(const CallServer&) = delete;

  /// Serves one more client.
  void serve(wire::Channel channel);

  /// Adds each channel with what it waits for.
  void add_to(std::vector<pollfd>& waits) const;
  /// Receives what is there, at most a few messages a channel, and sends what was left. Never
  /// blocks. Channels whose peer is gone or broke the protocol are closed, and their calls dropped.
  void exchange();
  /// True if step() would do something.
  [[nodiscard]] bool has_work() const;
  /// Takes one call one step further, each call in its turn.
  void step();

  [[nodiscard]] std::size_t channels() const { return links_.size(); }
  [[nodiscard]] std::size_t calls() const { return calls_.size(); }

 private:
  struct Link;
  struct Call;
  using Calls = std::list<Call>;

  [[nodiscard]] Result<void> receive(Link& link);
  [[nodiscard]] Result<void> handle(Link& link, wire::Received received);
  [[nodiscard]] Result<void> open(Link& link, wire::Received received);
  [[nodiscard]] Result<void> credit(Link& link, const Credit& credit);
  [[nodiscard]] Result<void> cancel(Link& link, const Cancel& cancel);
  [[nodiscard]] bool can_step(const Call& call) const;
  [[nodiscard]] Result<void> begin(Call& call);
  [[nodiscard]] Result<Step> advance(Call& call);
  void settle(Calls::iterator call, Result<Step> step);
  void end(Calls::iterator call, const Error* error, std::vector<std::uint8_t>* part);
  void send(Link& link, Result<wire::Packet> packet);
  void flush(Link& link);
  void drop_broken();

  Begin begin_;
  const Clock& clock_;
  CallServerOptions options_;
  std::list<Link> links_;  ///< oldest first
  Calls calls_;            ///< in the order in which they are looked at next
  std::size_t running_ = 0;
};

}  // namespace mlxguard::call
