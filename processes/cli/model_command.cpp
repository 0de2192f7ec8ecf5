// SPDX-License-Identifier: Apache-2.0
// `mlxguard model`: the store of verified models. What is in it is loaded as store:NAME.
#include <fmt/format.h>

#include <memory>

#include "admission/model_store.h"
#include "arguments.h"
#include "codec/json.h"
#include "codec/text.h"
#include "commands.h"
#include "judgement_output.h"
#include "progress.h"

namespace mlxguard::cli {
namespace {

using artifact::Store;
using artifact::StoredModel;

struct AddModel {
  std::string path;
  std::string name;
  std::string hugging_face;
  std::vector<std::string> public_keys;
};

std::string moment(std::int64_t milliseconds) { return codec::to_rfc3339(milliseconds); }

Result<Store> open_store(Session& session) {
  MLXGUARD_TRY_ASSIGN(const auto state, session.state());
  return Store::open(state, session.random());
}

void write_model(codec::JsonWriter& json, const StoredModel& model) {
  json.field("name", model.name).field("root_digest", model.root_digest);
  json.key("files").unsigned_integer(model.files.size()).key("bytes").unsigned_integer(model.bytes);
  json.field("signer", model.signer).field("signer_name", model.signer_name);
  json.field("origin", model.origin).field("hugging_face", model.hugging_face);
  json.field("policy", model.policy).field("admitted", moment(model.admitted_ms));
}

void show(const Session& session, std::string_view status, const StoredModel& model) {
  const Output& output = session.output();
  codec::JsonWriter json;
  json.begin_object().field("status", status);
  write_model(json, model);
  json.end_object();
  output.json_line(json.text());
  output.line(output.styled(Style::kGood, status) + "  " + printable(model.name) +
              fmt::format("  {} files, {}", model.files.size(), human_bytes(model.bytes)));
  output.line("  identity  " + model.root_digest);
}

Result<int> add(Session& session, const AddModel& options) {
  MLXGUARD_TRY_ASSIGN(const admission::OpenInspector inspector, session.inspector());
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust(options.public_keys));
  MLXGUARD_TRY_ASSIGN(const Store store, open_store(session));
  ProgressLine progress(session.output(), session.clock(), "storing");
  admission::StoreRequest request{options.path, options.name, options.hugging_face,
                                  progress.callback()};
  request.open_inspector = inspector;
  request.judged = [&](const trust::Judgement& judgement) {
    progress.finish();
    show_warnings(session.output(), judgement);
  };
  auto model = admission::add_to_store(request, store, trust, *log, session.clock());
  progress.finish();
  if (!model) return std::move(model).error();
  show(session, "added", *model);
  session.output().line("  load it   store:" + model->name);
  return 0;
}

Result<int> list(Session& session) {
  MLXGUARD_TRY_ASSIGN(const Store store, open_store(session));
  MLXGUARD_TRY_ASSIGN(const auto listed, store.list());
  const Output& output = session.output();
  codec::JsonWriter json;
  json.begin_object().key("models").begin_array();
  bool damaged = false;
  for (const Store::Listed& one : listed) {
    json.begin_object();
    if (one.model) {
      json.field("status", "stored");
      write_model(json, *one.model);
      output.line(fmt::format("{}  {}  {} files, {}, signed by {}",
                              output.styled(Style::kBold, printable(one.model->name)),
                              one.digest.substr(0, 12), one.model->files.size(),
                              human_bytes(one.model->bytes), printable(one.model->signer_name)));
      output.line("  admitted " + moment(one.model->admitted_ms) + " from " +
                  printable(one.model->origin) + ", policy " + one.model->policy);
    } else {
      damaged = true;
      const Error& error = one.model.error();
      json.field("status", "damaged").field("root_digest", one.digest);
      json.field("code", name_of(error.code)).field("message", error.message);
      output.line(output.styled(Style::kBad, "damaged") + "  " + one.digest + "  " +
                  printable(error.message) + fmt::format("  [{}]", name_of(error.code)));
    }
    json.end_object();
  }
  json.end_array().end_object();
  output.json_line(json.text());
  if (listed.empty()) output.line("no models; add one with: mlxguard model add MODEL");
  return damaged ? static_cast<int>(ExitClass::kRefused) : 0;
}

Result<int> remove(Session& session, const std::string& name) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const Store store, open_store(session));
  MLXGUARD_TRY_ASSIGN(const StoredModel model, admission::remove_from_store(name, store, *log));
  show(session, "removed", model);
  return 0;
}

Result<int> verify(Session& session, const std::string& name) {
  MLXGUARD_TRY_ASSIGN(const admission::OpenInspector inspector, session.inspector());
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust());
  MLXGUARD_TRY_ASSIGN(const auto state, session.state());
  MLXGUARD_TRY_ASSIGN(const Store store, open_store(session));
  MLXGUARD_TRY_ASSIGN(const StoredModel model, store.find(name));
  ProgressLine progress(session.output(), session.clock(), "verifying");
  auto outcome = admission::verify_stored(model, store, state, progress.callback(), inspector,
                                          trust, *log, session.clock());
  progress.finish();
  if (!outcome) return std::move(outcome).error();
  if (const auto* refusal = std::get_if<signature::Refusal>(&*outcome))
    return Error(refusal->error);
  show(session, "verified", model);
  return 0;
}

}  // namespace

void define_model(Arguments& app, const std::function<void(Action)>& chosen) {
  app.require_subcommand(1);
  const auto options = std::make_shared<AddModel>();
  Arguments* added =
      app.add_subcommand("add", "verify a model and keep it, read-only, in the store");
  added->add_option("MODEL", options->path, "folder (or single file) of the model")->required();
  added->add_option("--name", options->name, "in the store (default: the folder's name)");
  added->add_option("--hf", options->hugging_face,
                    "ORG/NAME: what you asked the Hugging Face Hub for");
  added
      ->add_option("--public-key", options->public_keys,
                   "PEM key to trust, besides those in the key folder")
      ->allow_extra_args(false);
  added->callback([=] { chosen([=](Session& session) { return add(session, *options); }); });
  Arguments* listed = app.add_subcommand("list", "the models in the store");
  listed->callback([=] { chosen([](Session& session) { return list(session); }); });
  const auto name = std::make_shared<std::string>();
  Arguments* removed = app.add_subcommand("remove", "take a model out of the store");
  removed->add_option("NAME", *name, "name or digest")->required();
  removed->callback([=] { chosen([=](Session& session) { return remove(session, *name); }); });
  const auto which = std::make_shared<std::string>();
  Arguments* verified =
      app.add_subcommand("verify", "hash a stored model again, and renew its receipt");
  verified->add_option("NAME", *which, "name or digest")->required();
  verified->callback([=] { chosen([=](Session& session) { return verify(session, *which); }); });
}

}  // namespace mlxguard::cli
