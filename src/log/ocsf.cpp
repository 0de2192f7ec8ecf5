// SPDX-License-Identifier: Apache-2.0
#include "log/ocsf.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "base/limits.h"
#include "codec/json.h"

namespace mlxguard::log {
namespace {

constexpr int kActivityOther = 99;
constexpr int kFileTypeRegular = 1;
constexpr int kFileTypeFolder = 2;

/// How much of a record's texts is kept. A record that comes out too long is written again,
/// tighter.
struct Bounds {
  std::size_t text_bytes;
  std::size_t fields;
};
// The last row fits whatever the texts are: every byte may become six.
constexpr Bounds kBounds[] = {
    {limits::kEventFieldBytesMax, limits::kEventFieldsMax}, {1024, 64}, {256, 32}, {64, 32}};

class RecordWriter {
 public:
  RecordWriter(const record::Event& event, const OcsfSource& source, std::string_view uid,
               Bounds bounds)
      : event_(event), row_(describe(event.kind)), source_(source), uid_(uid), bounds_(bounds) {}

  std::string write() {
    json_.begin_object();
    // What the index needs stands first.
    json_.key("time").integer(event_.time->time_since_epoch().count());
    write_classification();
    write_status();
    write_metadata();
    write_class_objects();
    if (has_ai_profile()) write_model();
    write_unmapped();
    json_.end_object();
    return std::move(json_).take();
  }

 private:
  /// Findings (2) and discovery (5) do not take the ai_operation profile.
  [[nodiscard]] bool has_ai_profile() const {
    const int category = row_.class_uid / 1000;
    return !event_.model.empty() && category != 2 && category != 5;
  }

  void text(std::string_view name, std::string_view value) {
    if (value.size() > bounds_.text_bytes) {
      std::size_t end = bounds_.text_bytes;
      while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
      value = value.substr(0, end);
      truncated_.insert(std::string(name));
    }
    json_.key(name).string(value);
  }

  [[nodiscard]] const record::FieldValue* find(std::string_view name) const {
    for (const auto& [key, value] : event_.fields) {
      if (key == name) return &value;
    }
    return nullptr;
  }
  [[nodiscard]] std::string_view find_text(std::string_view name) const {
    const record::FieldValue* value = find(name);
    const std::string* found = value == nullptr ? nullptr : std::get_if<std::string>(value);
    return found == nullptr ? std::string_view() : std::string_view(*found);
  }
  [[nodiscard]] std::int64_t find_integer(std::string_view name, std::int64_t otherwise) const {
    const record::FieldValue* value = find(name);
    const std::int64_t* found = value == nullptr ? nullptr : std::get_if<std::int64_t>(value);
    return found == nullptr ? otherwise : *found;
  }

  void write_classification() {
    json_.key("class_uid").integer(row_.class_uid);
    json_.key("category_uid").integer(row_.class_uid / 1000);
    json_.key("activity_id").integer(row_.activity_id);
    if (row_.activity_id == kActivityOther) json_.field("activity_name", row_.name);
    json_.key("type_uid").integer(std::int64_t{row_.class_uid} * 100 + row_.activity_id);
    json_.key("severity_id").integer(row_.severity_id);
  }

  void write_status() {
    const bool success = event_.outcome == record::Outcome::kSuccess;
    json_.key("status_id").integer(success ? 1 : 2);
    json_.field("status", success ? "Success" : "Failure");
    if (event_.code.has_value()) json_.field("status_code", name_of(*event_.code));
    text("message", event_.message.empty() ? row_.meaning : std::string_view(event_.message));
  }

  void write_metadata() {
    json_.key("metadata").begin_object();
    json_.field("version", "1.8.0").field("uid", uid_).field("log_name", source_.log_name);
    json_.field("event_code", row_.name);
    json_.key("product").begin_object();
    json_.field("name", "mlxguard").field("vendor_name", "mlxguard");
    json_.field("version", MLXGUARD_VERSION).end_object();
    if (has_ai_profile()) {
      json_.key("profiles").begin_array().string("ai_operation").end_array();
    }
    json_.end_object();
  }

  void write_actor() {
    json_.key("actor").begin_object().key("process").begin_object();
    json_.field("name", source_.process_name).field("pid", source_.process_id);
    json_.end_object().end_object();
  }

  void write_device() {
    json_.key("device").begin_object();
    json_.key("type_id").integer(0).field("hostname", source_.host_name);  // 0: unknown
    json_.end_object();
  }

  void write_file() {
    json_.key("file").begin_object();
    std::string_view name = find_text("file");
    if (name.empty()) name = find_text("subject");
    const bool folder = name.empty();  // no file is named: the event is about the model's folder
    if (name.empty()) name = event_.model;
    text("name", name.empty() ? std::string_view("unknown") : name);
    json_.key("type_id").integer(folder ? kFileTypeFolder : kFileTypeRegular);
    if (const std::string_view path = find_text("path"); !path.empty()) text("path", path);
    json_.end_object();
  }

  void write_class_objects() {
    switch (row_.class_uid) {
      case 1001:
        write_actor();
        write_device();
        write_file();
        return;
      case 1005:
        write_actor();
        write_device();
        json_.key("module").begin_object().key("load_type_id").integer(99);
        json_.field("load_type", "verified bytes from sealed memory");
        write_file();
        json_.end_object();
        return;
      case 1007:
        write_actor();
        write_device();
        write_process();
        return;
      case 2002:
        write_finding();
        return;
      case 3002:
        json_.key("user").begin_object();
        text("name", or_unknown(find_text("user")));
        json_.end_object();
        json_.key("service").begin_object().field("name", source_.process_name).end_object();
        return;
      case 6003:
        write_actor();
        write_api();
        return;
      default:
        write_device();
    }
  }

  /// A vulnerability: the event's attribute `advisory` names it.
  void write_finding() {
    json_.key("finding_info").begin_object().field("uid", uid_);
    text("title", row_.meaning);
    json_.end_object();
    json_.key("vulnerabilities").begin_array().begin_object();
    json_.key("advisory").begin_object();
    text("uid", or_unknown(find_text("advisory")));
    json_.end_object().end_object().end_array();
    write_device();
  }

  static std::string_view or_unknown(std::string_view value) {
    return value.empty() ? std::string_view("unknown") : value;
  }

  void write_process() {
    const std::string_view name = find_text("process");
    json_.key("process").begin_object();
    text("name", name.empty() ? std::string_view(source_.process_name) : name);
    json_.field("pid", find_integer("pid", source_.process_id)).end_object();
  }

  void write_api() {
    const std::string_view operation = find_text("operation");
    json_.key("api").begin_object();
    text("operation", operation.empty() ? std::string_view("inference") : operation);
    json_.end_object();
    json_.key("src_endpoint").begin_object();
    const std::string_view address = find_text("client_ip");
    if (address.empty()) {
      json_.field("name", "unknown");
    } else {
      text("ip", address);
    }
    const std::int64_t port = find_integer("client_port", 0);
    if (port > 0 && port < 65536) json_.field("port", port);
    json_.end_object();
  }

  void write_model() {
    const std::string_view provider = find_text("ai_provider");
    json_.key("ai_model").begin_object();
    text("name", event_.model);
    text("ai_provider", provider.empty() ? std::string_view("local") : provider);
    if (const std::string_view digest = find_text("model_digest"); !digest.empty()) {
      text("uid", digest);
    }
    json_.end_object();
  }

  void write_unmapped() {
    json_.key("unmapped").begin_object();
    json_.field("kind", row_.name).field("outcome", name_of(event_.outcome));
    if (event_.code.has_value()) json_.field("code", name_of(*event_.code));
    if (!event_.model.empty()) text("model", event_.model);
    std::set<std::string> names{"kind", "outcome", "code", "model", "truncated"};
    const std::size_t count = std::min(event_.fields.size(), bounds_.fields);
    for (std::size_t i = 0; i < count; ++i) write_field(names, i);
    if (count < event_.fields.size()) truncated_.insert("fields");
    if (!truncated_.empty()) {
      json_.key("truncated").begin_array();
      for (const std::string& name : truncated_) json_.string(name);
      json_.end_array();
    }
    json_.end_object();
  }

  void write_field(std::set<std::string>& names, std::size_t i) {
    constexpr std::size_t kNameBytesMax = 64;
    std::string name = event_.fields[i].first.substr(0, kNameBytesMax);
    const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    });
    // A name of another form, or one that stands here already, gets another: keys stay unique.
    if (!plain || !names.insert(name).second) {
      name = "field_" + std::to_string(i + 1);
      while (!names.insert(name).second) name += "_";
    }
    const record::FieldValue& value = event_.fields[i].second;
    if (const auto* words = std::get_if<std::string>(&value)) {
      text(name, *words);
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      json_.key(name).integer(*integer);
    } else if (const auto* number = std::get_if<double>(&value)) {
      json_.key(name).number(*number);
    } else {
      json_.key(name).boolean(std::get<bool>(value));
    }
  }

  const record::Event& event_;
  const record::KindRow& row_;
  const OcsfSource& source_;
  std::string_view uid_;
  Bounds bounds_;
  codec::JsonWriter json_;
  std::set<std::string> truncated_;
};

void append_hex(std::string& out, std::uint64_t value, int digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i) out.push_back(kDigits[(value >> (4 * i)) & 0xf]);
}

}  // namespace

OcsfSource OcsfSource::of_this_process(std::string process_name) {
  OcsfSource source;
  source.process_name = std::move(process_name);
  source.process_id = ::getpid();
  struct utsname names {};
  source.host_name = ::uname(&names) == 0 ? names.nodename : "unknown";
  return source;
}

OcsfWriter::OcsfWriter(OcsfSource source, crypto::Random& random) : source_(std::move(source)) {
  std::array<std::uint8_t, 10> bytes{};
  random.fill(bytes);
  std::memcpy(&uid_prefix_, bytes.data(), sizeof(uid_prefix_));
  std::memcpy(&uid_middle_, bytes.data() + sizeof(uid_prefix_), sizeof(uid_middle_));
}

std::string OcsfWriter::next_uid() {
  // A UUID of version 8: 48 + 12 bits of this process, 60 bits that count.
  const std::uint64_t count = counter_.fetch_add(1, std::memory_order_relaxed);
  std::string uid;
  uid.reserve(36);
  append_hex(uid, uid_prefix_ >> 32, 8);
  uid.push_back('-');
  append_hex(uid, uid_prefix_ >> 16, 4);
  uid += "-8";
  append_hex(uid, uid_middle_, 3);
  uid += "-8";
  append_hex(uid, count >> 48, 3);
  uid.push_back('-');
  append_hex(uid, count, 12);
  return uid;
}

std::string OcsfWriter::write(const record::Event& event) {
  MLXGUARD_CHECK(event.time.has_value());
  const std::string uid = next_uid();
  std::string line;
  for (const Bounds& bounds : kBounds) {
    line = RecordWriter(event, source_, uid, bounds).write();
    if (line.size() <= limits::kEventBytesMax) return line;
  }
  // Only the source's own names are left, and they are ours.
  MLXGUARD_CHECK(line.size() <= limits::kEventBytesMax);
  return line;
}

}  // namespace mlxguard::log
