// SPDX-License-Identifier: Apache-2.0
#include "call/call_server.h"

#include <algorithm>

namespace mlxguard::call {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

/// Messages of one channel between two steps: a client that sends without end delays nobody long.
constexpr int kMessagesPerTurn = 2 * static_cast<int>(kCallsMax);
/// What waits for room in a socket. Only a client that opens and cancels calls and never reads
/// comes here.
constexpr std::size_t kOutgoingMax = 4 * kCallsMax;

Error breach(const char* what) { return make_error(ErrorCode::kWorkerProtocol, what); }

}  // namespace

struct CallServer::Link {
  explicit Link(wire::Channel its_channel) : channel(std::move(its_channel)) {}
  wire::Channel channel;
  std::uint64_t last_id = 0;
  std::map<std::uint64_t, Calls::iterator> calls;  ///< those that have not ended
  std::deque<wire::Packet> outgoing;               ///< what the socket had no room for
  bool broken = false;
};

struct CallServer::Call {
  Link* link = nullptr;
  Open open;
  wire::Received message;  ///< holds the payload, perhaps mapped, until the call ends
  Bytes payload;
  TimePoint deadline;
  std::uint32_t credit = 0;
  std::unique_ptr<Run> run;  ///< null until the call begins
  std::chrono::microseconds run_time{0};
};

CallServer::CallServer(Begin begin, const Clock& clock, CallServerOptions options)
    : begin_(std::move(begin)), clock_(clock), options_(options) {}
CallServer::~CallServer() = default;

void CallServer::serve(wire::Channel channel) {
  if (links_.size() >= options_.channels_max) links_.front().broken = true;
  links_.emplace_back(std::move(channel));
  drop_broken();
}

void CallServer::add_to(std::vector<pollfd>& waits) const {
  for (const Link& link : links_) {
    const short events = link.outgoing.empty() ? POLLIN : POLLIN | POLLOUT;
    waits.push_back({link.channel.fd(), events, 0});
  }
}

void CallServer::exchange() {
  for (Link& link : links_) {
    flush(link);
    if (!link.broken && !receive(link)) link.broken = true;
  }
  drop_broken();
}

Result<void> CallServer::receive(Link& link) {
  for (int count = 0; count < kMessagesPerTurn; ++count) {
    MLXGUARD_TRY_ASSIGN(auto received, link.channel.try_receive());
    if (!received) return {};
    MLXGUARD_TRY(handle(link, std::move(*received)));
  }
  return {};
}

Result<void> CallServer::handle(Link& link, wire::Received received) {
  if (received.is<Open>()) return open(link, std::move(received));
  if (received.is<Credit>()) {
    MLXGUARD_TRY_ASSIGN(const auto message, received.as<Credit>());
    return credit(link, message);
  }
  MLXGUARD_TRY_ASSIGN(const auto message, received.as<Cancel>());
  return cancel(link, message);
}

Result<void> CallServer::open(Link& link, wire::Received received) {
  Call call;
  call.link = &link;
  call.message = std::move(received);
  MLXGUARD_TRY_ASSIGN(auto read, call.message.with_body<Open>());
  call.open = std::move(read.first);
  call.payload = read.second;
  if (call.open.id <= link.last_id) return breach("an id that was used before");
  if (link.calls.size() >= kCallsMax) return breach("more calls at once than allowed");
  if (call.open.credit > kCreditMax) return breach("more credit than allowed");
  if (call.open.task.size() > kTaskNameBytesMax) return breach("a name longer than allowed");
  link.last_id = call.open.id;
  call.deadline = TimePoint(std::chrono::nanoseconds(call.open.deadline_ns));
  call.credit = call.open.credit;
  calls_.push_back(std::move(call));
  link.calls.emplace(link.last_id, std::prev(calls_.end()));
  return {};
}

Result<void> CallServer::credit(Link& link, const Credit& credit) {
  if (credit.id > link.last_id) return breach("credit for a call that was never opened");
  const auto found = link.calls.find(credit.id);
  if (found == link.calls.end()) return {};  // it crossed with the call's end
  Call& call = *found->second;
  if (credit.parts > kCreditMax - call.credit) return breach("more credit than allowed");
  call.credit += credit.parts;
  return {};
}

Result<void> CallServer::cancel(Link& link, const Cancel& cancel) {
  if (cancel.id > link.last_id) return breach("an end of a call that was never opened");
  const auto found = link.calls.find(cancel.id);
  if (found == link.calls.end()) return {};  // it crossed with the call's end
  const Error gone = make_error(ErrorCode::kClientGone, "the call was cancelled");
  end(found->second, &gone, nullptr);
  return {};
}

/// Only calls whose next part can be sent at once are stepped, so nothing is produced for later.
bool CallServer::can_step(const Call& call) const {
  const bool may_begin = call.run != nullptr || running_ < options_.running_max;
  return may_begin && call.credit > 0 && call.link->outgoing.empty() && !call.link->broken;
}

bool CallServer::has_work() const {
  return std::any_of(calls_.begin(), calls_.end(),
                     [this](const Call& call) { return can_step(call); });
}

void CallServer::step() {
  const auto next = std::find_if(calls_.begin(), calls_.end(),
                                 [this](const Call& call) { return can_step(call); });
  if (next == calls_.end()) return;
  calls_.splice(calls_.end(), calls_, next);  // the others come first next time
  settle(next, advance(*next));
  drop_broken();
}

Result<void> CallServer::begin(Call& call) {
  if (call.open.tell_begun) send(*call.link, wire::pack(Begun{call.open.id}));
  MLXGUARD_TRY_ASSIGN(call.run, begin_(Opening{call.open.task, call.payload, call.deadline}));
  ++running_;
  return {};
}

Result<Step> CallServer::advance(Call& call) {
  const TimePoint start = clock_.steady();
  if (start >= call.deadline) {
    return make_error(ErrorCode::kDeadline, "the call's deadline has passed");
  }
  if (call.run == nullptr) MLXGUARD_TRY(begin(call));
  auto step = call.run->next();
  const TimePoint stop = clock_.steady();
  call.run_time += std::chrono::duration_cast<std::chrono::microseconds>(stop - start);
  if (step && stop >= call.deadline) {
    return make_error(ErrorCode::kDeadline, "the call's deadline passed during a step");
  }
  return step;
}

void CallServer::settle(Calls::iterator call, Result<Step> step) {
  if (!step) return end(call, &step.error(), nullptr);
  if (step->last) return end(call, nullptr, step->part ? &*step->part : nullptr);
  if (!step->part) return;
  --call->credit;
  auto packet = wire::pack_with_body(Part{call->open.id}, *step->part);
  if (!packet) return end(call, &packet.error(), nullptr);
  send(*call->link, std::move(packet));
}

/// An end always fits: if the last part does not, the end says so instead.
void CallServer::end(Calls::iterator call, const Error* error, std::vector<std::uint8_t>* part) {
  End end;
  end.id = call->open.id;
  if (call->run != nullptr) end.usage = call->run->usage();
  end.usage.run_microseconds = call->run_time.count();
  end.has_part = part != nullptr;
  std::optional<Result<wire::Packet>> packet;
  if (error == nullptr) {
    packet.emplace(wire::pack_with_body(end, part != nullptr ? Bytes(*part) : Bytes()));
    if (!*packet) error = &packet->error();
  }
  if (error != nullptr) {
    end.has_part = false;
    end.code = name_of(error->code);
    end.reason = error->subject.empty() ? error->message : error->subject + ": " + error->message;
    end.reason.resize(std::min(end.reason.size(), kReasonBytesMax));
    packet.emplace(wire::pack(end));
  }
  Link& link = *call->link;
  if (call->run != nullptr) --running_;
  link.calls.erase(end.id);
  calls_.erase(call);
  send(link, std::move(*packet));
}

void CallServer::send(Link& link, Result<wire::Packet> packet) {
  if (!packet) {
    link.broken = true;  // memory is lacking: the client must not wait for ever
    return;
  }
  link.outgoing.push_back(*std::move(packet));
  flush(link);
  if (link.outgoing.size() > kOutgoingMax) link.broken = true;
}

void CallServer::flush(Link& link) {
  while (!link.broken && !link.outgoing.empty()) {
    const auto sent = link.channel.try_send(link.outgoing.front());
    if (!sent) {
      link.broken = true;
    } else if (*sent == wire::SendStatus::kWouldBlock) {
      return;
    } else {
      link.outgoing.pop_front();
    }
  }
}

void CallServer::drop_broken() {
  for (auto link = links_.begin(); link != links_.end();) {
    if (!link->broken) {
      ++link;
      continue;
    }
    for (const auto& [id, call] : link->calls) {
      if (call->run != nullptr) --running_;
      calls_.erase(call);
    }
    link = links_.erase(link);
  }
}

}  // namespace mlxguard::call
