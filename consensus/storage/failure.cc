#include "consensus/storage/failure.h"

#include "absl/strings/cord.h"
#include "protocol/base/check.h"

namespace lockd::storage {
namespace {

constexpr absl::string_view kPayloadUrl = "lockd/storage-failure";

absl::StatusCode CodeOf(Failure failure) {
  switch (failure) {
    case Failure::kNone:
      break;
    case Failure::kInUse:
    case Failure::kWrongOwner:
    case Failure::kUnusable:
      return absl::StatusCode::kFailedPrecondition;
    case Failure::kDamaged:
      return absl::StatusCode::kDataLoss;
    case Failure::kWriteFailed:
      return absl::StatusCode::kInternal;
  }
  LOCKD_UNREACHABLE("failure ", static_cast<int>(failure));
}

}  // namespace

absl::Status MakeFailure(Failure failure, absl::string_view message) {
  absl::Status status(CodeOf(failure), message);
  status.SetPayload(kPayloadUrl, absl::Cord(std::string(1, static_cast<char>(failure))));
  return status;
}

Failure FailureOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value() || payload->size() != 1) return Failure::kNone;
  return static_cast<Failure>((*payload)[0]);
}

int ExitStatusOf(const absl::Status& status) {
  if (status.ok()) return 0;
  switch (FailureOf(status)) {
    case Failure::kInUse:
      return 10;
    case Failure::kWrongOwner:
      return 11;
    case Failure::kNone:
    case Failure::kUnusable:
      return 12;
    case Failure::kDamaged:
      return 14;
    case Failure::kWriteFailed:
      return 15;
  }
  return 12;
}

}  // namespace lockd::storage
