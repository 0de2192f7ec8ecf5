// SPDX-License-Identifier: Apache-2.0
// Every message between our processes, one section per direction. Who may send what is checked by
// the receiver: a gateway cannot send what only a worker may, since each end decodes its own
// section only.
//
//   supervisor <-> worker    control channel, descriptor 3 of the worker
//   supervisor <-> gateway   control channel, descriptor 3 of the gateway
//
// What gateway and worker say to each other is in call/messages.h; the supervisor makes their
// channel and does not read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/process_bounds.h"
#include "call/settings.h"
#include "front/settings.h"
#include "http/settings.h"
#include "record/event.h"
#include "validate/settings.h"
#include "wire/channel.h"

namespace mlxguard::ipc {

enum class MessageType : std::uint16_t {
  // supervisor -> worker
  kLoadModel = 1,
  kModelFiles = 2,
  kServeChannel = 3,
  // worker -> supervisor
  kWorkerLocked = 20,
  kWorkerReady = 21,
  kWorkerLoadFailed = 22,
  // supervisor -> gateway
  kGatewayConfig = 40,
  kModelUp = 41,
  kModelDown = 42,
  kEventAck = 43,
  kDrain = 44,
  // gateway -> supervisor
  kGatewayReady = 60,
  kReportEvent = 61,
  kWorkerOverdue = 62,
};

// What each receiver accepts in one message: no sender is believed about its sizes.
inline constexpr wire::ReceiveBounds kFromSupervisor{64u << 20, limits::kIpcDescriptorsMax};
inline constexpr wire::ReceiveBounds kFromWorker{limits::kWorkerControlBytesMax, 0};
inline constexpr wire::ReceiveBounds kFromGateway{limits::kGatewayControlBytesMax, 0};

/// An Error without its source line.
struct WireError {
  std::string code;  ///< stable name; unknown names become kInternal
  std::string message, subject, expected, actual, hint;
  template <class Archive>
  void visit(Archive& archive) {
    archive(code), archive(message), archive(subject), archive(expected), archive(actual),
        archive(hint);
  }
  [[nodiscard]] static WireError of(const Error& error);
  [[nodiscard]] Error to_error() const;
};

// ---- supervisor -> worker ----------------------------------------------------------------------

/// First of the three: what will come. Followed by ModelFiles until `file_count` files were sent.
struct LoadModel {
  static constexpr MessageType kType = MessageType::kLoadModel;
  std::string name;
  std::string root_digest;
  std::uint32_t file_count = 0;
  std::uint32_t threads = 1;  ///< processor cores the worker may use
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(root_digest), archive(file_count), archive(threads);
  }
};

struct ModelFile {
  std::string name;
  std::uint64_t size_bytes = 0;
  std::vector<std::uint8_t> digest;  ///< SHA-256, 32 bytes
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(size_bytes), archive(digest);
  }
};

/// One sealed descriptor a file, in order.
struct ModelFiles {
  static constexpr MessageType kType = MessageType::kModelFiles;
  std::vector<ModelFile> files;
  template <class Archive>
  void visit(Archive& archive) {
    archive(files);
  }
};

/// Carries the worker's end of a data channel (call/messages.h), which it serves until the other
/// end closes.
struct ServeChannel {
  static constexpr MessageType kType = MessageType::kServeChannel;
  std::uint8_t unused = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(unused);
  }
};

// ---- worker -> supervisor ----------------------------------------------------------------------

/// The worker is inside its sandbox and has read nothing yet.
struct WorkerLocked {
  static constexpr MessageType kType = MessageType::kWorkerLocked;
  std::string isolation;         ///< JSON: mechanism -> state, for the log
  std::uint32_t mechanisms = 0;  ///< sandbox::IsolationReport::bits(), for the decision
  template <class Archive>
  void visit(Archive& archive) {
    archive(isolation), archive(mechanisms);
  }
};

struct WorkerReady {
  static constexpr MessageType kType = MessageType::kWorkerReady;
  std::string schema;   ///< validate::ModelSchema::to_wire(); the supervisor passes it on unread
  std::string runtime;  ///< for example "mlx 0.32.4, OpenBLAS"
  std::int64_t load_microseconds = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(schema), archive(runtime), archive(load_microseconds);
  }
};

struct WorkerLoadFailed {
  static constexpr MessageType kType = MessageType::kWorkerLoadFailed;
  WireError error;
  template <class Archive>
  void visit(Archive& archive) {
    archive(error);
  }
};

// ---- supervisor -> gateway ---------------------------------------------------------------------

struct ApiKeyHash {
  std::string name;                  ///< who, for the log
  std::vector<std::uint8_t> sha256;  ///< of the key's text
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(sha256);
  }
};

/// First message to a gateway; the listening sockets come with it. Times in milliseconds.
struct GatewayConfig {
  static constexpr MessageType kType = MessageType::kGatewayConfig;
  std::vector<ApiKeyHash> api_keys;
  bool anonymous_allowed = false;
  std::string tls_certificate_pem;  ///< chain, leaf first; empty: no TLS
  std::string tls_private_key_pem;
  std::vector<std::string> models;  ///< every name served, also those whose worker is not up yet
  http::LimitSettings http;
  call::QueueSettings queue;
  validate::TextSettings texts;
  front::RateSettings rates;
  bool answer_after_event_durable = true;
  std::vector<std::uint8_t> event_hash_key;   ///< for the hash of a key that was refused
  template <class Archive>
  void visit(Archive& archive) {
    archive(api_keys), archive(anonymous_allowed), archive(tls_certificate_pem),
        archive(tls_private_key_pem), archive(models), archive(http), archive(queue),
        archive(texts), archive(rates), archive(answer_after_event_durable),
        archive(event_hash_key);
  }
};

/// A worker is ready; the gateway's end of its data channel comes with it.
struct ModelUp {
  static constexpr MessageType kType = MessageType::kModelUp;
  std::string name;
  std::uint64_t generation = 0;  ///< rises with each start of the model's worker
  std::string schema;            ///< as the worker sent it
  std::string root_digest;
  std::string signer;
  std::int64_t created_seconds = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(generation), archive(schema), archive(root_digest), archive(signer),
        archive(created_seconds);
  }
};

/// The worker died (or its breaker is open). Requests it held are to be answered 503.
struct ModelDown {
  static constexpr MessageType kType = MessageType::kModelDown;
  std::string name;
  std::uint64_t generation = 0;
  WireError reason;
  std::int64_t retry_after_ms = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(name), archive(generation), archive(reason), archive(retry_after_ms);
  }
};

/// Every reported event up to and including `sequence` is durable.
struct EventAck {
  static constexpr MessageType kType = MessageType::kEventAck;
  std::uint64_t sequence = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(sequence);
  }
};

/// Stop accepting, finish what is held, close.
struct Drain {
  static constexpr MessageType kType = MessageType::kDrain;
  std::int64_t grace_ms = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(grace_ms);
  }
};

// ---- gateway -> supervisor ---------------------------------------------------------------------

struct GatewayReady {
  static constexpr MessageType kType = MessageType::kGatewayReady;
  std::string isolation;
  std::uint32_t mechanisms = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(isolation), archive(mechanisms);
  }
};

/// The attribute's number in record/attributes.h and its value; the row says which member holds it.
struct WireAttribute {
  std::uint16_t number = 0;
  std::string text;
  std::int64_t integer = 0;  ///< of a bool too
  double real = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(number), archive(text), archive(integer), archive(real);
  }
};

/// An event of the request line. The supervisor refuses kinds of other lines and stamps the time.
struct ReportEvent {
  static constexpr MessageType kType = MessageType::kReportEvent;
  std::uint64_t sequence = 0;  ///< 1, 2, 3, ... of this gateway process
  std::string kind;
  std::uint8_t outcome = 0;
  std::string model;
  std::string code;
  std::string message;
  std::vector<WireAttribute> attributes;
  template <class Archive>
  void visit(Archive& archive) {
    archive(sequence), archive(kind), archive(outcome), archive(model), archive(code),
        archive(message), archive(attributes);
  }
  [[nodiscard]] static ReportEvent of(std::uint64_t sequence, const record::Event& event);
  /// kWorkerProtocol for an unknown kind, outcome, code or attribute, for one that comes twice, and
  /// for texts and lists beyond their bounds.
  [[nodiscard]] Result<record::Event> to_event() &&;
};

/// A worker still holds a request past its deadline: the supervisor kills it.
struct WorkerOverdue {
  static constexpr MessageType kType = MessageType::kWorkerOverdue;
  std::string model;
  std::uint64_t generation = 0;
  template <class Archive>
  void visit(Archive& archive) {
    archive(model), archive(generation);
  }
};

}  // namespace mlxguard::ipc
