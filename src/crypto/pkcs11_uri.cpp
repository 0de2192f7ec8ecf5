// SPDX-License-Identifier: Apache-2.0
#include "crypto/pkcs11_uri.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "base/ascii.h"
#include "base/limits.h"
#include "base/percent.h"

namespace mlxguard::crypto {
namespace {

constexpr std::string_view kScheme = "pkcs11:";
// RFC 7512: unreserved characters, and those that need no escape in a path or a query.
constexpr std::string_view kFree = "-._~:[]@!$'()*+,=";
constexpr std::string_view kFreeInPath = "&";
constexpr std::string_view kFreeInQuery = "/?|";
constexpr std::string_view kFilePrefix = "file:";
constexpr std::string_view kNoHost = "//";  // RFC 8089: file:/etc/pin and file:///etc/pin are one

Error bad(std::string message) {
  return make_error(ErrorCode::kTokenUri, std::move(message))
      .hinting("pkcs11:token=LABEL;object=KEY?module-path=/path/of/the/module.so");
}

Result<std::string> unescape(std::string_view text, std::string_view also_free) {
  const bool plain = std::all_of(text.begin(), text.end(), [&](char c) {
    return c == '%' || is_ascii_alphanumeric(c) || kFree.find(c) != kFree.npos ||
           also_free.find(c) != also_free.npos;
  });
  if (!plain) return bad("a character in a PKCS#11 URI that has to be written as %XX");
  auto decoded = percent_decode(text);
  if (!decoded) return bad("a '%' in a PKCS#11 URI that no two hex digits follow");
  return *std::move(decoded);
}

std::string escape(std::string_view text, std::string_view also_plain = {}) {
  return percent_encode(text, std::string("-._~").append(also_plain));
}

struct Attribute {
  std::string_view name;
  std::string value;
};

/// Splits "a=b;c=d"; no name twice.
Result<std::vector<Attribute>> attributes_of(std::string_view text, char separator,
                                             std::string_view also_free) {
  std::vector<Attribute> attributes;
  std::set<std::string_view> names;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = part.find('=');
    if (equals == part.npos || equals == 0) return bad("expected NAME=VALUE in a PKCS#11 URI");
    const std::string_view name = part.substr(0, equals);
    if (!names.insert(name).second) return bad("a PKCS#11 URI names an attribute twice");
    MLXGUARD_TRY_ASSIGN(std::string value, unescape(part.substr(equals + 1), also_free));
    attributes.push_back({name, std::move(value)});
  }
  return attributes;
}

/// No text of a token holds a NUL; one in a path would end it early.
bool has_nul(std::string_view text) { return text.find('\0') != text.npos; }

Result<void> take_path_attribute(const Attribute& attribute, Pkcs11Uri& uri) {
  const auto& [name, value] = attribute;
  if (name == "id") {
    if (value.empty()) return bad("an empty id in a PKCS#11 URI");
    uri.id.emplace(value.begin(), value.end());
    return {};
  }
  if (has_nul(value)) return bad("a NUL in a PKCS#11 URI");
  if (name == "slot-id") {
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (problem != std::errc{} || end != value.data() + value.size()) {
      return bad("expected a number as slot-id");
    }
    uri.slot_id = number;
    return {};
  }
  if (name == "type") {
    if (value == "private" || value == "public") return {};
    return bad("expected the type \"private\" in a PKCS#11 URI");
  }
  std::optional<std::string>* text = nullptr;
  if (name == "token") text = &uri.token;
  if (name == "manufacturer") text = &uri.manufacturer;
  if (name == "serial") text = &uri.serial;
  if (name == "model") text = &uri.model;
  if (name == "object") text = &uri.object;
  if (text == nullptr) return bad("an attribute of a PKCS#11 URI that is not known here");
  *text = value;
  return {};
}

/// Where distributions put the modules of tokens; root's own folders.
constexpr std::string_view kModuleFolders[] = {
    "/usr/lib/x86_64-linux-gnu/pkcs11/",  "/usr/lib64/pkcs11/",  "/usr/lib/pkcs11/",
    "/usr/lib/x86_64-linux-gnu/softhsm/", "/usr/lib64/softhsm/", "/usr/lib/softhsm/"};

Result<std::string> find_module(std::string_view name) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_ascii_alphanumeric(c) || c == '-' || c == '_' || c == '.';
  });
  if (!plain) return bad("expected the name of a module as module-name");
  for (const std::string_view folder : kModuleFolders) {
    for (const std::string_view before : {"", "lib"}) {
      const auto path = std::string(folder) + std::string(before) + std::string(name) + ".so";
      std::error_code problem;
      if (std::filesystem::is_regular_file(path, problem)) return path;
    }
  }
  return bad("no module of this name in the system's folders; name it by module-path")
      .about(std::string(name.substr(0, 64)));
}

Result<void> take_query_attribute(const Attribute& attribute, Pkcs11Uri& uri) {
  const auto& [name, value] = attribute;
  if (name == "pin-value") {
    return make_error(ErrorCode::kTokenUri,
                      "a PIN inside of a PKCS#11 URI: others can read it there")
        .hinting("give it with --pin-file FILE, --pin-fd N, or at the terminal");
  }
  if (has_nul(value)) return bad("a NUL in a PKCS#11 URI");
  if (name == "module-path") {
    if (!value.starts_with('/')) return bad("expected an absolute module-path in a PKCS#11 URI");
    uri.module_path = value;
    return {};
  }
  if (name == "pin-source") {
    std::string_view file = value;
    if (file.starts_with(kFilePrefix)) {
      file.remove_prefix(kFilePrefix.size());
      if (file.starts_with(kNoHost)) {
        file.remove_prefix(kNoHost.size());
        if (!file.starts_with('/')) return bad("a file of another host as pin-source");
      }
    }
    if (!file.starts_with('/')) return bad("expected a file with an absolute path as pin-source");
    uri.pin_file = file;
    return {};
  }
  return bad("an attribute of a PKCS#11 URI that is not known here");
}

}  // namespace

Result<Pkcs11Uri> Pkcs11Uri::parse(std::string_view text) {
  if (text.size() > limits::kTokenUriBytesMax) return bad("a PKCS#11 URI that is too long");
  if (!text.starts_with(kScheme)) return bad("expected a PKCS#11 URI");
  text.remove_prefix(kScheme.size());
  const std::size_t question = std::min(text.find('?'), text.size());
  Pkcs11Uri uri;
  MLXGUARD_TRY_ASSIGN(const auto path, attributes_of(text.substr(0, question), ';', kFreeInPath));
  for (const Attribute& attribute : path) MLXGUARD_TRY(take_path_attribute(attribute, uri));
  text.remove_prefix(std::min(question + 1, text.size()));
  MLXGUARD_TRY_ASSIGN(const auto query, attributes_of(text, '&', kFreeInQuery));
  for (const Attribute& attribute : query) MLXGUARD_TRY(take_query_attribute(attribute, uri));
  if (!uri.object && !uri.id) return bad("expected a PKCS#11 URI that names a key: object or id");
  if (uri.module_path.empty()) {
    return bad("expected a PKCS#11 URI that names the token's module: module-path");
  }
  return uri;
}

Result<ForeignPkcs11Uri> read_foreign_pkcs11_uri(std::string_view text) {
  constexpr std::string_view kPin = "pin-value=";
  constexpr std::string_view kModule = "module-name=";
  if (text.size() > limits::kTokenUriBytesMax) return bad("a PKCS#11 URI that is too long");
  const std::size_t question = std::min(text.find('?'), text.size());
  ForeignPkcs11Uri foreign{std::string(text.substr(0, question)), std::nullopt};
  text.remove_prefix(std::min(question + 1, text.size()));
  char separator = '?';
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    if (part.starts_with(kPin)) {
      if (foreign.pin) return bad("a PKCS#11 URI names an attribute twice");
      MLXGUARD_TRY_ASSIGN(std::string pin, unescape(part.substr(kPin.size()), kFreeInQuery));
      foreign.pin = Secret::copy_of(as_bytes(pin));
      wipe_memory(pin.data(), pin.size());
      continue;
    }
    foreign.text += separator;
    separator = '&';
    if (part.starts_with(kModule)) {
      MLXGUARD_TRY_ASSIGN(const std::string path, find_module(part.substr(kModule.size())));
      foreign.text += "module-path=" + escape(path, "/");
    } else {
      foreign.text += part;
    }
  }
  return foreign;
}

std::string Pkcs11Uri::text() const {
  std::string path;
  const auto add = [&](std::string_view name, const std::optional<std::string>& value) {
    if (!value) return;
    if (!path.empty()) path.push_back(';');
    path.append(name).append("=").append(escape(*value));
  };
  add("token", token);
  add("manufacturer", manufacturer);
  add("serial", serial);
  add("model", model);
  if (slot_id) add("slot-id", std::to_string(*slot_id));
  if (id) add("id", std::string(id->begin(), id->end()));
  add("object", object);
  std::string out = std::string(kScheme) + path + "?module-path=" + escape(module_path, "/");
  if (pin_file) {
    const std::string_view host = pin_file->starts_with(kNoHost) ? kNoHost : "";
    out += "&pin-source=" + escape(std::string(kFilePrefix).append(host) + *pin_file, "/:");
  }
  return out;
}

}  // namespace mlxguard::crypto
