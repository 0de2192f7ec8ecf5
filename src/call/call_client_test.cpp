// SPDX-License-Identifier: Apache-2.0
#include "call/call_client.h"

#include "call/test_loop.h"

using namespace mlxguard;
using namespace mlxguard::call;
using namespace mlxguard::call::test;

TEST_CASE("call client: an answer of one part") {
  Loop loop;
  loop.attach();
  const auto asked = loop.ask();
  const auto [open, payload] = loop.hear_open();
  CHECK(open.task == "t");
  CHECK(open.credit == 1);
  CHECK(!open.tell_begun);
  CHECK(payload == 1);
  loop.answer(open.id, 7);
  CHECK(asked->code() == "done");
  CHECK(asked->parts == std::vector<std::uint8_t>{7});
  CHECK(!loop.hear());
}

TEST_CASE("call client: parts arrive while the worker still runs, credit goes back") {
  Loop loop;
  loop.attach();
  const auto asked = loop.ask("k", 60s, 4);
  const auto [open, payload] = loop.hear_open();
  CHECK(open.credit == 4);
  loop.say(Part{open.id}, {1});
  CHECK(asked->parts == std::vector<std::uint8_t>{1});
  CHECK(!loop.hear());
  loop.say(Part{open.id}, {2});
  CHECK(loop.hear_one<Credit>().parts == 2);
  loop.say(End{.id = open.id});
  CHECK(asked->code() == "done");
  CHECK(asked->parts == std::vector<std::uint8_t>{1, 2});
}

TEST_CASE("call client: an asker that does not read gives no credit") {
  Loop loop;
  loop.attach();
  const auto asked = loop.ask("k", 60s, 2, false);
  const auto [open, payload] = loop.hear_open();
  loop.say(Part{open.id}, {1});
  loop.say(Part{open.id}, {2});
  CHECK(!loop.hear());
  loop.read(asked);
  CHECK(loop.hear_one<Credit>().parts == 1);
}

TEST_CASE("call client: a cancelled call tells the worker, and its late parts go nowhere") {
  Loop loop;
  loop.attach();
  const auto asked = loop.ask("k", 60s, 4);
  const auto [open, payload] = loop.hear_open();
  loop.say(Part{open.id}, {1});
  asked->call->cancel();
  loop.run();
  CHECK(asked->code() == "client.gone");
  CHECK(loop.hear_one<Cancel>().id == open.id);
  loop.say(Part{open.id}, {2});
  loop.say(End{.id = open.id, .code = "client.gone"});
  CHECK(asked->parts == std::vector<std::uint8_t>{1});
  CHECK(loop.queue->is_up());
}

TEST_CASE("call client: a call that nobody keeps is cancelled") {
  Loop loop;
  loop.attach();
  loop.ask("k", 60s, 1, false);
  const auto [open, payload] = loop.hear_open();
  CHECK(loop.hear_one<Cancel>().id == open.id);
}

TEST_CASE("call client: at its deadline a call ends and the worker is told") {
  Loop loop;
  loop.attach();
  const auto asked = loop.ask("k", 30ms);
  const auto [open, payload] = loop.hear_open();
  loop.run_until([&] { return asked->done; });
  CHECK(asked->code() == "deadline.exceeded");
  CHECK(loop.hear_one<Cancel>().id == open.id);
  CHECK(loop.overdue == 0);
}

TEST_CASE("call client: a worker that is silent after the deadline is overdue") {
  CallQueueOptions options;
  options.client.silence_max = 20ms;
  options.client.grace = 20ms;
  Loop loop(options);
  loop.attach();
  const auto asked = loop.ask("k", 10ms);
  loop.run_until([&] { return loop.overdue > 0; });
  CHECK(loop.overdue == 1);
}

TEST_CASE("call client: what a worker says of a failure is its own type") {
  Loop loop;
  loop.attach();
  const auto asked = loop.ask();
  const auto [open, payload] = loop.hear_open();
  loop.say(End{.id = open.id, .code = "engine.run", .reason = "at 0x1234"});
  CHECK(asked->code() == "worker: engine.run");
  CHECK(std::get<WorkerError>(asked->call->outcome()).reason_for_log() == "at 0x1234");
}

TEST_CASE("call client: a worker that breaks the protocol is cut off and reported") {
  const auto breaks = [](const std::function<void(Loop&, std::uint64_t)>& attack) {
    Loop loop;
    loop.attach();
    const auto first = loop.ask("k", 60s, 2);
    const auto second = loop.ask("k", 60s, 2);
    const auto [open, payload] = loop.hear_open();
    (void)loop.hear_open();
    CHECK(loop.queue->is_up());
    attack(loop, open.id);
    loop.run();
    CHECK(loop.overdue == (loop.queue->is_up() ? 0 : 1));
    return !loop.queue->is_up();
  };
  CHECK(!breaks([](Loop&, std::uint64_t) {}));
  CHECK(!breaks([](Loop& loop, std::uint64_t id) { loop.answer(id); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.answer(id + 9); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.say(Part{id + 9}, {1}); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.say(Begun{id + 9}); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.say(Begun{id}); }));  // it counts as begun
  CHECK(!breaks([](Loop& loop, std::uint64_t id) { loop.say(Begun{id + 1}); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.say(Part{id + 1}, {1}); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.answer(id + 1); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) {  // after its end
    loop.answer(id);
    (void)loop.worker.send(*wire::pack(Part{id}));
  }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) {  // more parts than credit
    const auto part = wire::pack_with_body(Part{id}, std::vector<std::uint8_t>{1});
    for (int i = 0; i < 3; ++i) (void)loop.worker.send(*part);
  }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) {
    const auto part = wire::pack_with_body(Part{id}, std::vector<std::uint8_t>{1});
    for (int i = 0; i < 2; ++i) (void)loop.worker.send(*part);
    (void)loop.worker.send(
        *wire::pack_with_body(End{.id = id, .has_part = true}, std::vector<std::uint8_t>{1}));
  }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.say(End{.id = id, .code = "no.such"}); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.say(End{.id = id}, {1}); }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) {
    loop.say(End{.id = id, .code = "engine.run", .has_part = true}, {1});
  }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) {
    loop.say(End{.id = id, .code = "engine.run", .reason = std::string(kReasonBytesMax + 1, 'x')});
  }));
  CHECK(breaks([](Loop& loop, std::uint64_t id) { loop.say(Cancel{id}); }));
  CHECK(breaks([](Loop& loop, std::uint64_t) { (void)loop.worker.send(*wire::pack(9, {1})); }));
}
