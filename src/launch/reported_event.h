// SPDX-License-Identifier: Apache-2.0
// An event that the gateway reports, made into one of ours. Input: a message of a process that may
// be compromised. Output: an event of the request line whose names and texts are short and visible.
#pragma once

#include "base/result.h"
#include "ipc/messages.h"
#include "record/event.h"

namespace mlxguard::launch {

/// kWorkerProtocol for a kind of another line, an unknown code or outcome, too many attributes or
/// not all that its kind must have, a text that is too long or not visible (ipc::ReportEvent::of
/// sends none).
[[nodiscard]] Result<record::Event> accept_event(ipc::ReportEvent report);

}  // namespace mlxguard::launch
