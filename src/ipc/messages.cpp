// SPDX-License-Identifier: Apache-2.0
#include "ipc/messages.h"

namespace mlxguard::ipc {
namespace {

WireField wire_field(const std::string& name, const record::FieldValue& value) {
  struct Visitor {
    WireField& field;
    void operator()(const std::string& text) const { field.text = text; }
    void operator()(std::int64_t integer) const {
      field.type = FieldType::kInteger;
      field.integer = integer;
    }
    void operator()(double number) const {
      field.type = FieldType::kNumber;
      field.number = number;
    }
    void operator()(bool flag) const {
      field.type = FieldType::kBool;
      field.integer = flag ? 1 : 0;
    }
  };
  WireField field;
  field.name = name;
  std::visit(Visitor{field}, value);
  return field;
}

}  // namespace

WireError WireError::of(const Error& error) {
  return {std::string(name_of(error.code)),
          error.message,
          error.subject,
          error.expected,
          error.actual,
          error.hint};
}

Error WireError::to_error() const {
  const ErrorCodeRow* row = find_error_code(code);
  Error error = make_error(row != nullptr ? row->code : ErrorCode::kInternal, message);
  error.subject = subject;
  error.expected = expected;
  error.actual = actual;
  error.hint = hint;
  return error;
}

WireTensor WireTensor::of(validate::Tensor tensor) {
  return {std::move(tensor.name), std::string(validate::name_of(tensor.dtype)),
          std::move(tensor.shape), std::move(tensor.data)};
}

Result<validate::Tensor> WireTensor::to_tensor() && {
  const auto type = validate::find_dtype(dtype);
  if (!type) return make_error(ErrorCode::kWorkerProtocol, "a tensor of an unknown type");
  return validate::Tensor{std::move(name), *type, std::move(shape), std::move(data)};
}

ReportEvent ReportEvent::of(std::uint64_t sequence, const record::Event& event) {
  ReportEvent report;
  report.sequence = sequence;
  report.kind = record::describe(event.kind).name;
  report.outcome = static_cast<std::uint8_t>(event.outcome);
  report.model = event.model;
  if (event.code) report.code = name_of(*event.code);
  report.message = event.message;
  for (const auto& [name, value] : event.fields) report.fields.push_back(wire_field(name, value));
  return report;
}

Result<record::Event> ReportEvent::to_event() const {
  const record::KindRow* row = record::find_kind(kind);
  const ErrorCodeRow* code_row = code.empty() ? nullptr : find_error_code(code);
  if (row == nullptr || outcome > static_cast<std::uint8_t>(record::Outcome::kFailed) ||
      (!code.empty() && code_row == nullptr)) {
    return make_error(ErrorCode::kWorkerProtocol, "an event of an unknown kind, outcome or code");
  }
  record::Event event{.kind = row->kind};
  event.outcome = static_cast<record::Outcome>(outcome);
  event.model = model;
  if (code_row != nullptr) event.code = code_row->code;
  event.message = message;
  for (const WireField& field : fields) {
    switch (field.type) {
      case FieldType::kString:
        event.with(field.name, field.text);
        break;
      case FieldType::kInteger:
        event.with(field.name, field.integer);
        break;
      case FieldType::kNumber:
        event.with(field.name, field.number);
        break;
      case FieldType::kBool:
        event.with(field.name, field.integer != 0);
        break;
    }
  }
  return event;
}

}  // namespace mlxguard::ipc
