// SPDX-License-Identifier: Apache-2.0
#include "crypto/pkcs11_module.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "base/limits.h"
#include "crypto/random.h"

namespace mlxguard::crypto {
namespace {

constexpr std::size_t kSignatureBytesMax = 2 * 66;
constexpr std::size_t kAttributeBytesMax = 512;
constexpr std::size_t kNewIdBytes = 16;

std::string hex(CK_RV value) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%lx", value);
  return text.data();
}

Error token_error(const char* doing, CK_RV value) {
  return make_error(ErrorCode::kToken,
                    std::string("the token failed to ") + doing + " (" + hex(value) + ")");
}

Error module_error(std::string message) {
  return make_error(ErrorCode::kTokenModule, std::move(message));
}

/// Who can write the module's file runs code with the PIN.
Result<void> check_module_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return module_error("there is no such PKCS#11 module");
  if (!S_ISREG(status.st_mode)) return module_error("expected a PKCS#11 module that is a file");
  if ((status.st_uid != 0 && status.st_uid != ::geteuid()) ||
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return module_error("refusing a PKCS#11 module that others can write");
  }
  return {};
}

/// PKCS#11 pads its texts with blanks.
template <std::size_t N>
bool matches(const std::optional<std::string>& wanted, const unsigned char (&text)[N]) {
  if (!wanted) return true;
  std::string_view found(reinterpret_cast<const char*>(text), N);
  found = found.substr(0, found.find_last_not_of(' ') + 1);  // npos + 1 is 0
  return found == *wanted;
}

CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, void* value, std::size_t size) {
  return {type, value, static_cast<CK_ULONG>(size)};
}

}  // namespace

struct Pkcs11Module::Impl {
  Pkcs11Uri uri;
  void* library = nullptr;
  CK_FUNCTION_LIST* functions = nullptr;
  bool initialised = false;
  CK_SLOT_ID slot = 0;
  CK_TOKEN_INFO info{};
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  bool always_authenticate = false;
  Secret pin;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (session != CK_INVALID_HANDLE) {
      functions->C_Logout(session);
      functions->C_CloseSession(session);
    }
    if (initialised) functions->C_Finalize(nullptr);
    // Not unloaded: modules leave threads and handlers behind, and this process ends anyway.
  }

  Result<void> load();
  Result<void> find_token();
  Result<void> log_in();
  Result<std::vector<CK_OBJECT_HANDLE>> find(CK_OBJECT_CLASS object_class,
                                             const std::optional<std::string>& label,
                                             const std::optional<std::vector<std::uint8_t>>& id);
  Result<std::optional<std::vector<std::uint8_t>>> read(CK_OBJECT_HANDLE object,
                                                        CK_ATTRIBUTE_TYPE type);
  Result<void> generate(Curve curve);
  Result<Found> find_key();
};

Result<void> Pkcs11Module::Impl::load() {
  MLXGUARD_TRY(check_module_file(uri.module_path));
  library = ::dlopen(uri.module_path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return module_error("the PKCS#11 module cannot be loaded");
  const auto get_functions =
      reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (get_functions == nullptr) return module_error("the file is no PKCS#11 module");
  if (const CK_RV result = get_functions(&functions); result != CKR_OK || functions == nullptr) {
    return module_error("the PKCS#11 module gives no functions (" + hex(result) + ")");
  }
  if (const CK_RV result = functions->C_Initialize(nullptr);
      result != CKR_OK && result != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
    return module_error("the PKCS#11 module cannot be initialised (" + hex(result) + ")");
  }
  initialised = true;
  return {};
}

Result<void> Pkcs11Module::Impl::find_token() {
  std::vector<CK_SLOT_ID> slots(limits::kTokenSlotsMax);
  CK_ULONG count = slots.size();
  if (const CK_RV result = functions->C_GetSlotList(CK_TRUE, slots.data(), &count);
      result != CKR_OK || count > slots.size()) {
    return token_error("list its slots", result);
  }
  slots.resize(count);
  std::size_t found = 0;
  for (const CK_SLOT_ID candidate : slots) {
    if (uri.slot_id && *uri.slot_id != candidate) continue;
    CK_TOKEN_INFO candidate_info{};
    if (functions->C_GetTokenInfo(candidate, &candidate_info) != CKR_OK) continue;
    if ((candidate_info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    if (!matches(uri.token, candidate_info.label) ||
        !matches(uri.manufacturer, candidate_info.manufacturerID) ||
        !matches(uri.serial, candidate_info.serialNumber) ||
        !matches(uri.model, candidate_info.model)) {
      continue;
    }
    slot = candidate;
    info = candidate_info;
    ++found;
  }
  if (found == 0) return make_error(ErrorCode::kToken, "no token is there that the URI matches");
  if (found > 1) return make_error(ErrorCode::kTokenUri, "the URI matches more than one token");
  if ((info.flags & CKF_USER_PIN_LOCKED) != 0) {
    return make_error(ErrorCode::kTokenPin, "the token's PIN is locked");
  }
  if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0) {
    return make_error(ErrorCode::kTokenPin,
                      "one more wrong PIN locks the token; log in with the token's own tool first");
  }
  return {};
}

/// One try: a PIN that the token does not take is never given to it again.
Result<void> Pkcs11Module::Impl::log_in() {
  if ((info.flags & CKF_LOGIN_REQUIRED) == 0) return {};
  const bool on_token = (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
  auto* text = const_cast<unsigned char*>(pin.bytes().data());
  const CK_RV result = functions->C_Login(session, CKU_USER, on_token ? nullptr : text,
                                          on_token ? 0 : static_cast<CK_ULONG>(pin.size()));
  switch (result) {
    case CKR_OK:
    case CKR_USER_ALREADY_LOGGED_IN:
      return {};
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
      return make_error(ErrorCode::kTokenPin, "the token does not accept the PIN");
    case CKR_PIN_EXPIRED:
    case CKR_PIN_LOCKED:
    case CKR_USER_PIN_NOT_INITIALIZED:
      return make_error(ErrorCode::kTokenPin, "the token's PIN is locked, expired or not set");
    default:
      return token_error("log in", result);
  }
}

Result<std::vector<CK_OBJECT_HANDLE>> Pkcs11Module::Impl::find(
    CK_OBJECT_CLASS object_class, const std::optional<std::string>& label,
    const std::optional<std::vector<std::uint8_t>>& id) {
  CK_KEY_TYPE type = CKK_EC;
  std::vector<CK_ATTRIBUTE> wanted{attribute(CKA_CLASS, &object_class, sizeof object_class),
                                   attribute(CKA_KEY_TYPE, &type, sizeof type)};
  if (label)
    wanted.push_back(attribute(CKA_LABEL, const_cast<char*>(label->data()), label->size()));
  if (id) wanted.push_back(attribute(CKA_ID, const_cast<std::uint8_t*>(id->data()), id->size()));
  if (const CK_RV result = functions->C_FindObjectsInit(session, wanted.data(), wanted.size());
      result != CKR_OK) {
    return token_error("look for the key", result);
  }
  std::vector<CK_OBJECT_HANDLE> objects(2);  // one, or too many
  CK_ULONG count = 0;
  const CK_RV result = functions->C_FindObjects(session, objects.data(), objects.size(), &count);
  functions->C_FindObjectsFinal(session);
  if (result != CKR_OK || count > objects.size()) return token_error("look for the key", result);
  objects.resize(count);
  return objects;
}

Result<std::optional<std::vector<std::uint8_t>>> Pkcs11Module::Impl::read(CK_OBJECT_HANDLE object,
                                                                          CK_ATTRIBUTE_TYPE type) {
  std::vector<std::uint8_t> value(kAttributeBytesMax);
  CK_ATTRIBUTE wanted = attribute(type, value.data(), value.size());
  const CK_RV result = functions->C_GetAttributeValue(session, object, &wanted, 1);
  if (result == CKR_ATTRIBUTE_TYPE_INVALID || result == CKR_ATTRIBUTE_SENSITIVE) {
    return std::optional<std::vector<std::uint8_t>>{};
  }
  if (result != CKR_OK || wanted.ulValueLen > value.size()) {
    return token_error("read the key's attributes", result);
  }
  value.resize(wanted.ulValueLen);
  return std::optional(std::move(value));
}

Result<void> Pkcs11Module::Impl::generate(Curve curve) {
  MLXGUARD_TRY_ASSIGN(const auto there, find(CKO_PRIVATE_KEY, uri.object, uri.id));
  if (!there.empty()) {
    return make_error(ErrorCode::kKeyExists, "the token has a key of this name");
  }
  if (!uri.id) {
    uri.id.emplace(kNewIdBytes);
    SystemRandom().fill(*uri.id);
  }
  const std::string label = uri.object.value_or("");
  const Bytes curve_parameters = parameters_of(curve);
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  const auto text = attribute(CKA_LABEL, const_cast<char*>(label.data()), label.size());
  const auto id = attribute(CKA_ID, uri.id->data(), uri.id->size());
  std::vector<CK_ATTRIBUTE> public_half{
      attribute(CKA_TOKEN, &yes, sizeof yes), attribute(CKA_VERIFY, &yes, sizeof yes), text, id,
      attribute(CKA_EC_PARAMS, const_cast<std::uint8_t*>(curve_parameters.data()),
                curve_parameters.size())};
  std::vector<CK_ATTRIBUTE> private_half{attribute(CKA_TOKEN, &yes, sizeof yes),
                                         attribute(CKA_PRIVATE, &yes, sizeof yes),
                                         attribute(CKA_SENSITIVE, &yes, sizeof yes),
                                         attribute(CKA_EXTRACTABLE, &no, sizeof no),
                                         attribute(CKA_SIGN, &yes, sizeof yes),
                                         text,
                                         id};
  CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE public_key = CK_INVALID_HANDLE;
  CK_OBJECT_HANDLE private_key = CK_INVALID_HANDLE;
  const CK_RV result = functions->C_GenerateKeyPair(session, &mechanism, public_half.data(),
                                                    public_half.size(), private_half.data(),
                                                    private_half.size(), &public_key, &private_key);
  if (result != CKR_OK) return token_error("make a key", result);
  return {};
}

Result<Pkcs11Module::Found> Pkcs11Module::Impl::find_key() {
  MLXGUARD_TRY_ASSIGN(const auto keys, find(CKO_PRIVATE_KEY, uri.object, uri.id));
  if (keys.empty()) {
    return make_error(ErrorCode::kTokenKeyNotFound, "no EC key on the token matches the URI");
  }
  if (keys.size() > 1) {
    return make_error(ErrorCode::kTokenUri, "the URI matches more than one key; name its id");
  }
  key = keys.front();
  MLXGUARD_TRY_ASSIGN(const auto always, read(key, CKA_ALWAYS_AUTHENTICATE));
  always_authenticate = always && always->size() == 1 && always->front() == CK_TRUE;
  MLXGUARD_TRY_ASSIGN(auto parameters, read(key, CKA_EC_PARAMS));
  MLXGUARD_TRY_ASSIGN(auto point, read(key, CKA_EC_POINT));
  if (!point || !parameters) {
    // The public half is an object of its own, tied to the private one by its id.
    MLXGUARD_TRY_ASSIGN(const auto id, read(key, CKA_ID));
    const bool has_id = id && !id->empty();
    MLXGUARD_TRY_ASSIGN(
        const auto public_keys,
        find(CKO_PUBLIC_KEY, has_id ? std::nullopt : uri.object, has_id ? id : std::nullopt));
    if (public_keys.size() == 1) {
      MLXGUARD_TRY_ASSIGN(point, read(public_keys.front(), CKA_EC_POINT));
      MLXGUARD_TRY_ASSIGN(parameters, read(public_keys.front(), CKA_EC_PARAMS));
    }
  }
  if (!point || !parameters) {
    return make_error(ErrorCode::kTokenKeyNotFound, "the token has no public half of the key");
  }
  return Found{*std::move(parameters), *std::move(point)};
}

Pkcs11Module::Pkcs11Module(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Pkcs11Module::Pkcs11Module(Pkcs11Module&&) noexcept = default;
Pkcs11Module& Pkcs11Module::operator=(Pkcs11Module&&) noexcept = default;
Pkcs11Module::~Pkcs11Module() = default;

Result<Pkcs11Module> Pkcs11Module::open(const Pkcs11Uri& uri) {
  auto impl = std::make_unique<Impl>();
  impl->uri = uri;
  MLXGUARD_TRY(impl->load());
  MLXGUARD_TRY(impl->find_token());
  return Pkcs11Module(std::move(impl));
}

TokenLogin Pkcs11Module::login_kind() const {
  if ((impl_->info.flags & CKF_LOGIN_REQUIRED) == 0) return TokenLogin::kNone;
  return (impl_->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0 ? TokenLogin::kOnToken
                                                                      : TokenLogin::kPin;
}

Result<Pkcs11Module::Found> Pkcs11Module::login(Secret pin, std::optional<Curve> generate) {
  if (impl_->session != CK_INVALID_HANDLE) {
    return make_error(ErrorCode::kToken, "expected one login");
  }
  const CK_FLAGS flags = CKF_SERIAL_SESSION | (generate ? CKF_RW_SESSION : 0);
  if (const CK_RV result =
          impl_->functions->C_OpenSession(impl_->slot, flags, nullptr, nullptr, &impl_->session);
      result != CKR_OK) {
    return token_error("open a session", result);
  }
  impl_->pin = std::move(pin);
  MLXGUARD_TRY(impl_->log_in());
  if (generate) MLXGUARD_TRY(impl_->generate(*generate));
  auto found = impl_->find_key();
  if (!impl_->always_authenticate) impl_->pin = Secret();
  return found;
}

Result<std::vector<std::uint8_t>> Pkcs11Module::sign(Bytes digest) {
  if (impl_->key == CK_INVALID_HANDLE)
    return make_error(ErrorCode::kToken, "expected a login first");
  CK_FUNCTION_LIST& functions = *impl_->functions;
  CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
  if (const CK_RV result = functions.C_SignInit(impl_->session, &mechanism, impl_->key);
      result != CKR_OK) {
    return token_error("sign", result);
  }
  if (impl_->always_authenticate) {
    const CK_RV result = functions.C_Login(impl_->session, CKU_CONTEXT_SPECIFIC,
                                           const_cast<unsigned char*>(impl_->pin.bytes().data()),
                                           static_cast<CK_ULONG>(impl_->pin.size()));
    if (result != CKR_OK) return token_error("log in for one signature", result);
  }
  std::vector<std::uint8_t> signature(kSignatureBytesMax);
  CK_ULONG size = signature.size();
  const CK_RV result =
      functions.C_Sign(impl_->session, const_cast<unsigned char*>(digest.data()),
                       static_cast<CK_ULONG>(digest.size()), signature.data(), &size);
  if (result != CKR_OK || size > signature.size()) return token_error("sign", result);
  signature.resize(size);
  return signature;
}

}  // namespace mlxguard::crypto
