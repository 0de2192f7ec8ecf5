// SPDX-License-Identifier: Apache-2.0
#include "call/call_queue.h"

#include "call/test_loop.h"

using namespace mlxguard;
using namespace mlxguard::call;
using namespace mlxguard::call::test;

namespace {

CallQueueOptions of(std::size_t waiting, std::size_t in_flight) {
  CallQueueOptions options;
  options.waiting_max = waiting;
  options.client.in_flight_max = in_flight;
  return options;
}

const Error kDied = make_error(ErrorCode::kWorkerMemory, "out of memory");

}  // namespace

TEST_CASE("call queue: without a worker nothing is taken") {
  Loop loop;
  CHECK(loop.ask()->code() == "worker.unavailable");
}

TEST_CASE("call queue: is bounded") {
  Loop loop(of(1, 1));
  loop.attach();
  const auto first = loop.ask();
  const auto second = loop.ask();
  CHECK(loop.ask()->code() == "overload.queue_full");
  const auto [open, payload] = loop.hear_open();
  CHECK(!loop.hear());
  loop.answer(open.id);
  CHECK(first->code() == "done");
  CHECK(loop.hear_open().second == 2);
  CHECK(second->code() == "waits");
}

TEST_CASE("call queue: keys take turns") {
  Loop loop(of(100, 1));
  loop.attach();
  std::vector<std::shared_ptr<Asked>> asked{loop.ask("a")};
  for (int i = 0; i < 3; ++i) asked.push_back(loop.ask("a"));  // 2, 3, 4
  asked.push_back(loop.ask("b"));                              // 5
  asked.push_back(loop.ask("c"));                              // 6
  asked.push_back(loop.ask("b"));                              // 7
  std::vector<int> order;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto [open, payload] = loop.hear_open();
    order.push_back(payload);
    loop.answer(open.id);
  }
  CHECK(order == std::vector<int>{1, 2, 5, 6, 3, 7, 4});
}

TEST_CASE("call queue: a key that fills it makes room for others") {
  Loop loop(of(4, 1));
  loop.attach();
  std::vector<std::shared_ptr<Asked>> greedy;
  for (int i = 0; i < 5; ++i) greedy.push_back(loop.ask("greedy"));
  CHECK(loop.ask("greedy")->code() == "overload.queue_full");
  const auto modest = loop.ask("modest");
  CHECK(modest->code() == "waits");
  CHECK(greedy[4]->code() == "overload.queue_full");
  CHECK(greedy[3]->code() == "waits");
  CHECK(loop.ask("modest")->code() == "waits");
  CHECK(greedy[3]->code() == "overload.queue_full");
  // Now both have two: nobody is displaced any more.
  CHECK(loop.ask("modest")->code() == "overload.queue_full");
}

TEST_CASE("call queue: a call that waits and is cancelled never reaches the worker") {
  Loop loop(of(10, 1));
  loop.attach();
  const auto first = loop.ask();
  const auto second = loop.ask();
  const auto third = loop.ask();
  const auto [open, payload] = loop.hear_open();
  second->call->cancel();
  loop.run();
  CHECK(second->code() == "client.gone");
  CHECK(loop.queue->waiting() == 1);
  loop.answer(open.id);
  CHECK(loop.hear_open().second == 3);
}

TEST_CASE("call queue: what a dead worker had not begun goes to the next one") {
  Loop loop(of(10, 2));
  loop.attach();
  const auto runs = loop.ask();
  const auto sent = loop.ask();
  const auto waits = loop.ask();
  (void)loop.hear_open();
  CHECK(loop.hear_open().first.tell_begun);
  loop.worker.close();
  loop.run();
  CHECK(!loop.queue->is_up());
  loop.queue->detach(kDied, 100ms);
  loop.run();
  CHECK(runs->code() == "worker.died");
  CHECK(sent->code() == "waits");
  CHECK(waits->code() == "waits");
  loop.attach();
  CHECK(loop.hear_open().second == 2);
  CHECK(loop.hear_open().second == 3);
}

TEST_CASE("call queue: what a dead worker had begun is not asked again") {
  Loop loop(of(10, 2));
  loop.attach();
  const auto first = loop.ask();
  const auto second = loop.ask();
  (void)loop.hear_open();
  const auto [open, payload] = loop.hear_open();
  loop.say(Begun{open.id});
  loop.queue->detach(kDied, 100ms);
  loop.run();
  CHECK(first->code() == "worker.died");
  CHECK(second->code() == "worker.died");
  CHECK(loop.queue->waiting() == 0);
}

TEST_CASE("call queue: a call is sent to two workers and no more") {
  Loop loop(of(10, 3));
  loop.attach();
  const auto first = loop.ask();
  const auto second = loop.ask();
  const auto third = loop.ask();
  loop.queue->detach(kDied, 0ms);
  loop.attach();  // second is first now, and counts as begun; third was sent behind it
  loop.queue->detach(kDied, 0ms);
  loop.run();
  CHECK(second->code() == "worker.died");
  CHECK(third->code() == "worker.died");
  CHECK(loop.queue->waiting() == 0);
}

TEST_CASE("call queue: a call that could not reach the next worker in its time ends at once") {
  Loop loop(of(10, 1));
  loop.attach();
  const auto runs = loop.ask();
  const auto soon = loop.ask("k", 1s);
  const auto late = loop.ask("k", 60s);
  loop.queue->detach(kDied, 30s);
  loop.run();
  CHECK(soon->code() == "worker.unavailable");
  CHECK(late->code() == "waits");
}

TEST_CASE("call queue: nobody says why the worker ended: its calls end all the same") {
  Loop loop(of(10, 1));
  loop.attach();
  const auto runs = loop.ask();
  loop.worker.close();
  loop.run_until([&] { return runs->done; });
  CHECK(runs->code() == "worker.died");
}
