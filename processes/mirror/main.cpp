// SPDX-License-Identifier: Apache-2.0
// mlxguard-mirror: a package index that scans before it serves. Started as `mlxguard deps mirror
// serve`. Talks to installers and to upstream; both are hostile. Locked once it has bound its
// socket and read its keys: it can then start no program and write nowhere but below its state
// folder.
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "async/signals.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/os_error.h"
#include "codec/json.h"
#include "codec/text.h"
#include "fetch.h"
#include "http/listener.h"
#include "http/server.h"
#include "log/state_log.h"
#include "mirror.h"
#include "mirror/package_scanner.h"
#include "mirror_options.h"
#include "mirror_sandbox.h"
#include "secrets.h"

namespace {

using namespace mlxguard;
using record::Attr;
using namespace mlxguard::mirror;
namespace fs = std::filesystem;

constexpr std::size_t kPoolThreads = 16;
constexpr std::chrono::seconds kDrainTime{10};

std::string environment_value(const char* name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread has been started yet
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void print(std::FILE* stream, const std::string& line) {
  std::fputs((line + "\n").c_str(), stream);
  std::fflush(stream);
}

int fail(const Error& error, bool json) {
  if (json) {
    codec::JsonWriter writer;
    writer.begin_object().key("error").begin_object();
    writer.field("code", name_of(error.code)).field("message", error.message);
    writer.field("subject", error.subject).field("hint", error.hint).end_object().end_object();
    print(stdout, writer.text());
  }
  const bool named =
      error.subject.empty() || error.message.find(error.subject) != std::string::npos;
  print(stderr, "mlxguard: error: " + (named ? "" : error.subject + ": ") + error.message + " [" +
                    std::string(name_of(error.code)) + "]");
  print(stderr, "mlxguard: hint: " +
                    (error.hint.empty() ? std::string(describe(error.code).meaning) : error.hint));
  return static_cast<int>(describe(error.code).exit_class);
}

/// Makes $STATE (0700) or checks that nobody else can reach into it.
Result<void> prepare_state(const fs::path& state) {
  std::error_code ignored;  // mkdir below reports what matters
  fs::create_directories(state.parent_path(), ignored);
  if (::mkdir(state.c_str(), 0700) != 0 && errno != EEXIST)
    return os_error("create", state.string());
  struct stat status {};
  if (::stat(state.c_str(), &status) != 0) return os_error("stat", state.string());
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 || status.st_uid != ::geteuid()) {
    return make_error(ErrorCode::kUnsafePermissions,
                      "the state folder belongs to, or can be written by, someone else")
        .about(state.string())
        .hinting("chmod 700 it, or choose another with --state DIR");
  }
  return {};
}

/// A mirror that cannot tell says so before it serves: each accepted reason is named by the
/// operator.
Result<void> check_scanner(const PackageScanner& scanner, const ServeOptions& options) {
  auto usable = scanner.check_database();
  if (usable) return {};
  const bool old = usable.error().code == ErrorCode::kAdvisoryTooOld;
  const Unknown needed = old ? Unknown::kOldDatabase : Unknown::kNoDatabase;
  if (scanner.is_damaged()) {
    return std::move(usable).error().hinting(
        "mlxguard deps db update replaces it; a damaged database cannot be accepted");
  }
  if (options.accepted.contains(needed)) return {};
  return std::move(usable).error().hinting(
      std::string("mlxguard deps db update; or accept it by name: --accept ") +
      (old ? "old-database" : "no-database"));
}

record::Event start_event(const ServeOptions& options, const Scanner& scanner,
                          const std::string& url) {
  record::Event event{.kind = record::Kind::kServerStarted};
  event.message = "the mirror is ready";
  event.set(Attr::kProcess, std::string("mlxguard-mirror")).set(Attr::kUrl, url);
  event.set(Attr::kUpstream, options.upstream.text()).set(Attr::kScanner, scanner.description());
  event.set(Attr::kCooldownSeconds, options.cooldown.count() / 1000);
  std::string accepted;
  for (const Unknown unknown : options.accepted) {
    accepted += (accepted.empty() ? "" : " ") +
                std::string(unknown_rows()[static_cast<std::size_t>(unknown)].name);
  }
  event.set(Attr::kAccepted, accepted);
  event.set(Attr::kAllowList, options.allow_list.string());
  return event;
}

Result<void> print_ready(const ServeOptions& options, const Scanner& scanner,
                         const std::string& url, const std::string& isolation) {
  if (options.json) {
    codec::JsonWriter json;
    json.begin_object().field("url", url).field("index_url", url + "/simple/");
    json.field("scanner", scanner.description()).field("pid", std::int64_t{::getpid()});
    json.key("isolation").raw(isolation).end_object();
    print(stdout, json.text());
    return finish_standard_output();
  }
  print(stdout, "mirror on " + url + "/simple/ in front of " + options.upstream.text());
  print(stdout, "  " + scanner.description());
  print(stdout, "  pip install --index-url " + url + "/simple/ NAME");
  return finish_standard_output();
}

UpstreamOptions upstream_options(const ServeOptions& options) {
  UpstreamOptions wanted;
  wanted.index = options.upstream;
  wanted.ca_bundle = options.ca_bundle;
  wanted.proxy = options.proxy;
  wanted.inner_hosts = options.inner_hosts;
  return wanted;
}

http::ServerOptions server_options() {
  http::ServerOptions options;
  options.limits = {limits::kMirrorHeadBytesMax, 0};
  options.connections_max = 512;
  return options;
}

Result<void> serve(const ServeOptions& options) {
  MLXGUARD_TRY(prepare_state(options.state));
  PolicyOptions policy_options;
  policy_options.cooldown = options.cooldown;
  policy_options.accepted = options.accepted;
  if (!options.allow_list.empty()) {
    MLXGUARD_TRY_ASSIGN(policy_options.allow_list, AllowList::load(options.allow_list.string()));
  }
  const Policy policy(std::move(policy_options));
  MirrorOptions mirror_options;
  mirror_options.scan_wait = options.scan_wait;
  MLXGUARD_TRY_ASSIGN(mirror_options.api_keys, load_api_keys(options.api_key_file));
  MLXGUARD_TRY_ASSIGN(auto tls, load_tls(options.tls_certificate, options.tls_private_key));
  MLXGUARD_TRY_ASSIGN(http::Listener listener, http::listen_on(options.listen));
  MLXGUARD_TRY(config::check_exposure(options.exposure, listener.reach));
  MLXGUARD_TRY_ASSIGN(const std::unique_ptr<Upstream> upstream,
                      Upstream::create(upstream_options(options)));
  const std::string url =
      http::url_of(listener, tls ? http::Scheme::kHttps : http::Scheme::kHttp);
  MLXGUARD_TRY_ASSIGN(const sandbox::IsolationReport isolation,
                      lock_this_mirror({options.state, options.ca_bundle,
                                        connect_ports(upstream_options(options))}));

  const SystemClock clock;
  crypto::SystemRandom random;
  MLXGUARD_TRY_ASSIGN(const std::unique_ptr<log::EventLog> log,
                      log::open_state_log(options.state, "mlxguard-mirror", clock, random));
  MLXGUARD_TRY_ASSIGN(const std::unique_ptr<Store> store,
                      Store::open(options.state / "mirror", random));
  const PackageScanner scanner({options.state, options.database_age_max}, clock);
  MLXGUARD_TRY(check_scanner(scanner, options));
  MLXGUARD_TRY(log->append(start_event(options, scanner, url)));

  async::Io io(async::Io::Threads::kOthersPost);
  async::Pool pool(kPoolThreads);
  PageOptions page_options;
  page_options.fresh_for = options.fresh_for;
  Mirror mirror({io, pool, *store, *upstream, scanner, policy, *log, clock},
                std::move(mirror_options), page_options);
  http::Server server(io, server_options(), mirror, std::move(tls));
  MLXGUARD_TRY(server.listen(std::move(listener.socket)));
  async::Signals signals(io, SIGINT, SIGTERM);
  Timer drain_timer(io.get_executor());
  signals.async_wait([&](boost::system::error_code error, int) {
    if (error) return;
    server.drain([&io] { io.stop(); });
    drain_timer.expires_after(kDrainTime);
    drain_timer.async_wait([&io](boost::system::error_code) { io.stop(); });
  });
  MLXGUARD_TRY(print_ready(options, scanner, url, isolation.to_json()));
  io.run();
  pool.stop();
  pool.join();
  io.drop_everything();  // connections that did not end in time refer to the server
  record::Event stopped{.kind = record::Kind::kServerStopped};
  stopped.message = "the mirror stopped in order";
  MLXGUARD_TRY(log->append(stopped));
  return log->flush();
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  std::signal(SIGPIPE, SIG_IGN);
  ::umask(077);
  const MirrorEnvironment environment{
      {environment_value("XDG_STATE_HOME"), environment_value("HOME"), ::geteuid() == 0},
      environment_value("PIP_INDEX_URL"),
      environment_value("PIP_CONFIG_FILE"),
      environment_value("SSL_CERT_FILE")};
  if (argc == 4 && std::string_view(argv[1]) == "fetch") {
    const auto fetched = fetch_to_file({argv[2], argv[3], environment.ssl_cert_file});
    return fetched ? 0 : fail(fetched.error(), true);
  }
  bool json = false;
  for (int i = 1; i < argc; ++i) json = json || std::string_view(argv[i]) == "--json";
  auto parsed = parse_command_line(argc, argv, environment);
  if (!parsed) return fail(parsed.error(), json);
  if (!parsed->options) {
    std::fputs(parsed->text.c_str(), stdout);
    const auto printed = finish_standard_output();
    return printed ? 0 : fail(printed.error(), false);
  }
  const auto served = serve(*parsed->options);
  return served ? 0 : fail(served.error(), json);
}
