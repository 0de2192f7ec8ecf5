// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

#include "admission/model_line.h"
#include "arguments.h"
#include "base/ascii.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/key_store.h"
#include "deps_commands.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/read.h"
#include "inventory/sbom_text.h"
#include "inventory/sbom_write.h"
#include "inventory/self.h"
#include "inventory_output.h"
#include "progress.h"
#include "record/event.h"
#include "signature/trusted_keys.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

struct Options {
  std::string target = ".";
  std::string out;
  std::vector<std::string> models;
  std::string timestamp, serial;
  bool tree = false, cyclonedx = false, spdx = false, self = false;
  bool without_records = false, without_native = false, every_lock = false;
};

Error usage(std::string message) { return make_error(ErrorCode::kUsage, std::move(message)); }

/// A model that is in use beside these dependencies: verified now, or refused as a whole.
Result<inventory::Component> model_component(Session& session, const std::string& named,
                                             const admission::OpenInspector& inspector) {
  const auto equals = named.find('=');
  if (equals == std::string::npos || equals == 0) return usage("expected NAME=PATH after --model");
  const std::string name = named.substr(0, equals), path = named.substr(equals + 1);
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  MLXGUARD_TRY_ASSIGN(const admission::Trust trust, session.trust());
  admission::AdmitRequest request{path, name, {}};
  MLXGUARD_TRY_ASSIGN(request.state, session.state());
  request.open_inspector = inspector;
  MLXGUARD_TRY_ASSIGN(const auto outcome,
                      admission::verify_only(request, trust, *log, session.clock()));
  if (const auto* refusal = std::get_if<signature::Refusal>(&outcome)) {
    return Error(refusal->error).with("model", name);
  }
  const auto& report = std::get<signature::VerifyReport>(outcome);
  inventory::Component model;
  model.kind = inventory::Component::Kind::kModel;
  model.name = name;
  model.purl = inventory::model_purl(name, report.root_digest);
  model.hashes = {"sha256:" + report.root_digest};
  model.location = path;
  model.direct = true;
  model.properties = {{"root_digest", report.root_digest},
                      {"signer", report.signer},
                      {"signer_name", report.signer_name}};
  model.evidence = {{inventory::Evidence::Kind::kMetadata, path, "its signature was verified"}};
  return model;
}

Result<void> add_models(Session& session, const Options& options, inventory::Inventory& inventory) {
  if (options.models.empty()) return {};
  MLXGUARD_TRY_ASSIGN(const admission::OpenInspector inspector, session.inspector());
  for (const std::string& named : options.models) {
    MLXGUARD_TRY_ASSIGN(inventory::Component model, model_component(session, named, inspector));
    const auto place =
        std::lower_bound(inventory.components.begin(), inventory.components.end(), model,
                         [](const auto& a, const auto& b) { return a.purl < b.purl; });
    if (place != inventory.components.end() && place->purl == model.purl) {
      return usage("two models are " + model.purl);
    }
    inventory.components.insert(place, std::move(model));
  }
  return {};
}

Result<inventory::SbomStamp> stamp_of(Session& session, const Options& options) {
  inventory::SbomStamp stamp;
  stamp.tool_version = MLXGUARD_VERSION;
  for (const char c : options.serial) {
    stamp.serial_uuid += ascii_lower(c);
  }
  if (!options.serial.empty() && !inventory::is_uuid_urn("urn:uuid:" + stamp.serial_uuid)) {
    return usage("expected a UUID after --serial-number");
  }
  stamp.milliseconds_since_epoch = session.clock().now().time_since_epoch().count();
  if (!options.timestamp.empty()) {
    MLXGUARD_TRY_ASSIGN(stamp.milliseconds_since_epoch, codec::from_rfc3339(options.timestamp));
  }
  return stamp;
}

Result<void> log_inventory(Session& session, const inventory::Inventory& inventory) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  std::int64_t packages = 0, natives = 0;
  for (const auto& component : inventory.components) {
    if (component.kind == inventory::Component::Kind::kPackage) ++packages;
    if (component.kind == inventory::Component::Kind::kNative) ++natives;
  }
  record::Event event{.kind = record::Kind::kDepsInventoried};
  event.message = "listed";
  event.set(Attr::kRoot, inventory.root)
      .set(Attr::kSource, inventory.source)
      .set(Attr::kComponents, inventory.components.size())
      .set(Attr::kPackages, packages)
      .set(Attr::kNative, natives)
      .set(Attr::kObservations, inventory.observations.size());
  return log->append(event);
}

/// The document that was asked for; empty: the table or tree.
Result<std::string> document(Session& session, const Options& options,
                             const inventory::Inventory& inventory) {
  const bool writes = !options.out.empty();
  const bool cyclonedx = options.cyclonedx || (writes && options.out.ends_with(".cdx.json"));
  const bool spdx = options.spdx || (writes && options.out.ends_with(".spdx.json"));
  MLXGUARD_TRY_ASSIGN(const inventory::SbomStamp stamp, stamp_of(session, options));
  if (options.cyclonedx || (cyclonedx && !spdx)) return inventory::to_cyclonedx(inventory, stamp);
  if (spdx) return inventory::to_spdx(inventory, stamp);
  if (writes || session.output().json()) return inventory::to_json(inventory);
  return std::string();
}

Result<inventory::Inventory> read(Session& session, const Options& options) {
  inventory::ReadOptions read_options;
  if (options.every_lock) read_options.locks = inventory::Locks::kEvery;
  if (options.without_records) read_options.records = inventory::RecordCheck::kNone;
  if (options.without_native) read_options.native = inventory::NativeParts::kSkip;
  ProgressLine progress(session.output(), session.clock(), "reading");
  read_options.progress = progress.callback();
  if (options.self) {
    std::error_code problem;
    const auto binary = std::filesystem::read_symlink("/proc/self/exe", problem);
    if (problem) return make_error(ErrorCode::kIo, "the place of this binary cannot be told");
    return inventory::read_self(binary.parent_path(), MLXGUARD_VERSION, inventory::build_pins());
  }
  return inventory::read_inventory(options.target, read_options);
}

Result<int> run(Session& session, const Options& options) {
  if (options.tree + options.cyclonedx + options.spdx > 1) {
    return usage("expected one of --tree, --cyclonedx and --spdx");
  }
  if (!options.out.empty() && !options.out.ends_with(".json")) {
    return usage("expected a file that ends in .cdx.json, .spdx.json or .json after -o")
        .about(options.out)
        .hinting("--cyclonedx and --spdx say which document a .json file is");
  }
  auto found = read(session, options);
  if (!found) {
    MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
    MLXGUARD_TRY(log->append(record::event_of(record::Kind::kDepsInventoried, found.error())));
    return std::move(found).error();
  }
  MLXGUARD_TRY(add_models(session, options, *found));
  MLXGUARD_TRY_ASSIGN(const std::string text, document(session, options, *found));
  const Output& output = session.output();
  if (!options.out.empty()) {
    MLXGUARD_TRY(inventory::write_file(options.out, text + "\n"));
    output.line(fmt::format("{} {}: {} components", output.styled(Style::kGood, "written"),
                            printable(options.out), found->components.size()));
    print_observations(output, *found);
    codec::JsonWriter json;
    json.begin_object().field("written", options.out);
    json.field("components", static_cast<std::int64_t>(found->components.size()));
    json.field("observations", static_cast<std::int64_t>(found->observations.size())).end_object();
    output.json_line(json.text());
  } else if (!text.empty()) {
    output.line(text);
    output.json_line(text);
  } else if (options.tree) {
    print_inventory_tree(output, *found);
  } else {
    print_inventory_table(output, *found);
  }
  MLXGUARD_TRY(log_inventory(session, *found));
  return 0;
}

}  // namespace

void define_deps_inventory(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Options>();
  app.add_option(
      "TARGET", options->target,
      "Python environment, project, wheel, requirements.txt, pylock.toml, uv.lock, poetry.lock "
      "or an SBOM in .json (the current folder)");
  app.add_flag("--self", options->self, "mlxguard itself: what it is made of");
  app.add_flag("--tree", options->tree, "who needs whom");
  app.add_flag("--cyclonedx", options->cyclonedx, "CycloneDX 1.6 JSON");
  app.add_flag("--spdx", options->spdx, "SPDX 2.3 JSON");
  app.add_option("-o,--output", options->out,
                 "write to a file, by its ending: .cdx.json, .spdx.json, .json");
  app.add_option("--model", options->models,
                 "NAME=PATH: a signed model to list beside; verified first")
      ->allow_extra_args(false);
  app.add_option("--timestamp", options->timestamp,
                 "UTC time to write into the document, for equal bytes");
  app.add_option("--serial-number", options->serial,
                 "UUID of the document (one made of its content)");
  app.add_flag("--every-lock", options->every_lock,
               "read every lock and requirements file of a folder, not only the most exact");
  app.add_flag("--no-record-check", options->without_records, "do not compare files with RECORD");
  app.add_flag("--no-native", options->without_native, "do not look into shared libraries");
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
