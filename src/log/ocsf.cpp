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
#include "log/json_text.h"

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

void append_hex(std::string& out, std::uint64_t value, int digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int i = digits - 1; i >= 0; --i) out.push_back(kDigits[(value >> (4 * i)) & 0xf]);
}


}  // namespace

/// Writes one record.
class RecordWriter {
 public:
  RecordWriter(const record::Event& event, WallTime time, const OcsfWriter& common,
               std::string_view uid, Bounds bounds)
      : event_(event),
        time_(time),
        row_(describe(event.kind)),
        common_(common),
        template_(common.templates_[static_cast<std::size_t>(event.kind)]),
        uid_(uid),
        bounds_(bounds) {}

  std::string write() {
    out_.reserve(kUsualBytes);
    // What the index needs stands first.
    out_ += "{";
    append_field(out_, "time", time_.time_since_epoch().count());
    out_ += template_.classification;
    write_status();
    write_members("");
    write_metadata();
    write_class_objects();
    if (has_ai_profile()) write_model();
    write_unmapped();
    out_ += "}";
    return std::move(out_);
  }

 private:
  static constexpr std::size_t kUsualBytes = 1536;

  /// Findings (2) and discovery (5) do not take the ai_operation profile.
  [[nodiscard]] bool has_ai_profile() const {
    const int category = row_.class_uid / 1000;
    return !event_.model.empty() && category != 2 && category != 5;
  }

  void text(std::string_view name, std::string_view value,
            std::size_t bytes_max = limits::kEventFieldBytesMax) {
    bytes_max = std::min(bytes_max, bounds_.text_bytes);
    if (value.size() > bytes_max) {
      std::size_t end = bytes_max;
      while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xc0) == 0x80) --end;
      value = value.substr(0, end);
      truncated_.insert(std::string(name));
    }
    append_field(out_, name, value);
  }

  void value(std::string_view name, const record::AttrRow& row, const record::AttrValue& value) {
    if (const auto* words = std::get_if<std::string>(&value)) {
      text(name, *words, row.bytes_max);
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      append_field(out_, name, *integer);
    } else if (const auto* number = std::get_if<double>(&value)) {
      append_key(out_, name);
      codec::JsonWriter json;
      out_ += json.number(*number).text();
    } else {
      append_key(out_, name);
      out_ += std::get<bool>(value) ? "true" : "false";
    }
  }

  void begin(std::string_view name) {
    append_key(out_, name);
    out_ += '{';
  }
  void end() { out_ += '}'; }

  [[nodiscard]] bool has_members(std::string_view object) const {
    return std::any_of(event_.attributes.begin(), event_.attributes.end(), [&](const auto& own) {
      const record::AttrRow& row = record::describe(own.first);
      return row.ocsf_object == object && !row.ocsf_member.empty();
    });
  }
  /// The attributes whose rows say that they are members of this object.
  void write_members(std::string_view object) {
    for (const auto& [id, own] : event_.attributes) {
      const record::AttrRow& row = record::describe(id);
      if (row.ocsf_object != object || row.ocsf_member.empty() || is_empty(own)) continue;
      value(row.ocsf_member, row, own);
    }
  }
  static bool is_empty(const record::AttrValue& value) {
    const auto* words = std::get_if<std::string>(&value);
    return words != nullptr && words->empty();
  }
  [[nodiscard]] std::string_view find_text(record::TypedAttr<std::string> attr) const {
    const std::string* found = event_.find(attr);
    return found == nullptr ? std::string_view() : std::string_view(*found);
  }

  void write_status() {
    const bool success = event_.outcome == record::Outcome::kSuccess;
    out_ += success ? R"(,"status_id":1,"status":"Success")"
                    : R"(,"status_id":2,"status":"Failure")";
    if (event_.code.has_value()) append_field(out_, "status_code", name_of(*event_.code));
    text("message", event_.message.empty() ? row_.meaning : std::string_view(event_.message));
  }

  void write_metadata() {
    out_ += R"(,"metadata":{"version":"1.8.0","uid":")";
    out_ += uid_;
    out_ += '"';
    out_ += template_.metadata_end;
    if (has_ai_profile()) out_ += R"(,"profiles":["ai_operation"])";
    end();
  }

  void write_actor() {
    begin("actor");
    append_key(out_, "process");
    out_ += common_.process_;
    write_object_if_any("actor.user", "user");
    end();
  }
  void write_object_if_any(std::string_view object, std::string_view name) {
    if (!has_members(object)) return;
    begin(name);
    write_members(object);
    end();
  }

  void write_device() { out_ += common_.device_; }

  void write_file() {
    begin("file");
    std::string_view name = find_text(record::Attr::kFile);
    if (name.empty()) name = find_text(record::Attr::kSubject);
    const bool folder = name.empty();  // no file is named: the event is about the model's folder
    if (name.empty()) name = event_.model;
    if (name.empty()) name = find_text(record::Attr::kProject);
    text("name", name.empty() ? row_.name : name);
    append_field(out_, "type_id", folder ? kFileTypeFolder : kFileTypeRegular);
    end();
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
        begin("module");
        append_field(out_, "load_type_id", std::int64_t{99});
        append_field(out_, "load_type", "verified bytes from sealed memory");
        write_file();
        end();
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
        write_authentication();
        return;
      case 6003:
        write_actor();
        write_api();
        return;
      default:
        write_device();
    }
  }

  void write_finding() {
    begin("finding_info");
    append_field(out_, "uid", uid_);
    text("title", row_.meaning);
    end();
    out_ += R"(,"vulnerabilities":[{"advisory":{)";
    write_members("vulnerabilities.advisory");
    // Nothing names an advisory where it could not be told whether there is one.
    if (out_.back() == '{') append_field(out_, "uid", "none named");
    out_ += "}}]";
    write_device();
  }

  /// Who ended or was started; this process, unless another is named.
  void write_process() {
    if (event_.find(record::Attr::kPid) == nullptr) {
      append_key(out_, "process");
      out_ += common_.process_;
      return;
    }
    begin("process");
    write_members("process");
    end();
  }

  void write_authentication() {
    begin("user");
    write_members("actor.user");
    if (out_.back() == '{') append_field(out_, "name", "anonymous");  // nothing was presented
    end();
    begin("service");
    append_field(out_, "name", common_.source_.process_name);
    end();
    write_source();
    write_http();
  }

  void write_api() {
    begin("api");
    write_members("api");
    // No route matched, or the command line asked.
    const bool by_http = event_.find(record::Attr::kClientIp) != nullptr;
    if (out_.back() == '{') append_field(out_, "operation", by_http ? "no route" : "run");
    end();
    write_source();
    write_http();
  }

  void write_source() {
    begin("src_endpoint");
    write_members("src_endpoint");
    if (out_.back() == '{') append_field(out_, "hostname", common_.source_.host_name);
    end();
  }

  void write_http() {
    write_object_if_any("http_request", "http_request");
    if (event_.find(record::Attr::kStatus) == nullptr) return;
    write_object_if_any("http_response", "http_response");
  }

  void write_model() {
    begin("ai_model");
    text("name", event_.model);
    append_field(out_, "ai_provider", "local");
    write_members("ai_model");
    end();
  }

  void write_unmapped() {
    begin("unmapped");
    append_field(out_, "kind", row_.name);
    append_field(out_, "outcome", name_of(event_.outcome));
    if (event_.code.has_value()) append_field(out_, "code", name_of(*event_.code));
    if (!event_.model.empty()) text("model", event_.model);
    const std::size_t count = std::min(event_.attributes.size(), bounds_.fields);
    for (std::size_t i = 0; i < count; ++i) {
      const record::AttrRow& row = record::describe(event_.attributes[i].first);
      value(row.name, row, event_.attributes[i].second);
    }
    if (count < event_.attributes.size()) truncated_.insert("attributes");
    if (!truncated_.empty()) {
      append_key(out_, "truncated");
      codec::JsonWriter names;
      names.begin_array();
      for (const std::string& name : truncated_) names.string(name);
      out_ += names.end_array().text();
    }
    end();
  }

  const record::Event& event_;
  WallTime time_;
  const record::KindRow& row_;
  const OcsfWriter& common_;
  const OcsfWriter::Template& template_;
  std::string_view uid_;
  Bounds bounds_;
  std::string out_;
  std::set<std::string> truncated_;
};

OcsfSource OcsfSource::of_this_process(std::string process_name) {
  OcsfSource source;
  source.process_name = std::move(process_name);
  source.process_id = ::getpid();
  struct utsname names {};
  source.host_name = ::uname(&names) == 0 ? names.nodename : "unknown";
  return source;
}

OcsfWriter::OcsfWriter(OcsfSource source, crypto::Random& random) : source_(std::move(source)) {
  process_ = "{";
  append_field(process_, "name", source_.process_name);
  append_field(process_, "pid", source_.process_id);
  process_ += '}';
  device_ = R"(,"device":{"type_id":0)";  // 0: unknown
  append_field(device_, "hostname", source_.host_name);
  device_ += '}';
  for (const record::KindRow& row : record::all_kinds()) {
    Template common;
    std::string& out = common.classification;
    out = ",";
    out += R"("class_uid":)" + std::to_string(row.class_uid);
    append_field(out, "category_uid", row.class_uid / 1000);
    append_field(out, "activity_id", row.activity_id);
    if (row.activity_id == kActivityOther) append_field(out, "activity_name", row.name);
    append_field(out, "type_uid", std::int64_t{row.class_uid} * 100 + row.activity_id);
    append_field(out, "severity_id", row.severity_id);
    common.metadata_end = ",";
    common.metadata_end += R"("log_name":)";
    codec::append_json_string(common.metadata_end, source_.log_name);
    append_field(common.metadata_end, "event_code", row.name);
    common.metadata_end += R"(,"product":{"name":"mlxguard","vendor_name":"mlxguard")";
    append_field(common.metadata_end, "version", MLXGUARD_VERSION);
    common.metadata_end += '}';
    templates_.push_back(std::move(common));
  }
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
  return write(event, *event.time);
}

std::string OcsfWriter::write(const record::Event& event, WallTime time) {
  const std::string uid = next_uid();
  std::string line;
  for (const Bounds& bounds : kBounds) {
    line = RecordWriter(event, time, *this, uid, bounds).write();
    if (line.size() <= limits::kEventBytesMax) return line;
  }
  // Only the source's own names are left, and they are ours.
  MLXGUARD_CHECK(line.size() <= limits::kEventBytesMax);
  return line;
}

}  // namespace mlxguard::log
