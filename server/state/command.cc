#include "server/state/command.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "server/state/fields.h"

namespace lockd::state {
namespace {

constexpr uint16_t kBatchVersion = 1;
constexpr size_t kBatchHeaderBytes = 2 + 8 + 4;
constexpr size_t kEnvelopeHeaderBytes = 2 + 1 + 4;
constexpr size_t kCountOffset = 2 + 8;

// Numbers in the log; never re-used.
enum class CommandKind : uint8_t {
  kOpenSession = 1,
  kAttachSession = 2,
  kKeepAlives = 3,
  kCloseSession = 4,
  kDisconnect = 5,
  kAcquire = 16,
  kRelease = 17,
  kCancel = 18,
  kReconcile = 19,
  kBootstrap = 64,
  kRegisterMember = 65,
  kSetSettings = 66,
  kSetFeatureLevel = 67,
  kChangeMembers = 68,
  kRefound = 69,
};

// One list of fields for each struct, in the order of types.h. `T` is const when writing.

template <typename IO, typename T>
void MutationFields(IO& io, T& m) {
  io.Number(m.session);
  io.Number(m.epoch);
  io.Number(m.sequence);
  io.Number(m.acknowledged_through);
  NumberList(io, m.acknowledged_acquires);
}

template <typename IO, typename T>
void BootstrapFields(IO& io, T& b) {
  io.Number(b.cluster_id);
  io.Level(b.feature_level);
  SettingsFields(io, b.settings);
  io.List(b.members, [&io](auto& member) { MemberFields(io, member); });
}

// Calls `fields(io, command)` for the struct; selected by the command's type.
struct CommandFields {
  template <typename IO, typename T>
  static void Of(IO& io, T& c) {
    using C = std::remove_const_t<T>;
    if constexpr (std::is_same_v<C, OpenSession>) {
      io.Bytes(c.nonce);
      io.Number(c.ttl_ms);
      io.Number(c.grace_ms);
      io.Bytes(c.owner_id);
    } else if constexpr (std::is_same_v<C, AttachSession>) {
      io.Number(c.session);
      io.Bytes(c.nonce);
    } else if constexpr (std::is_same_v<C, KeepAlives>) {
      io.List(c.sessions, [&io](auto& one) {
        io.Number(one.session);
        io.Number(one.epoch);
        NumberList(io, one.acknowledged_acquires);
      });
    } else if constexpr (std::is_same_v<C, CloseSession> || std::is_same_v<C, Disconnect>) {
      io.Number(c.session);
      io.Number(c.epoch);
    } else if constexpr (std::is_same_v<C, Acquire>) {
      MutationFields(io, c.mutation);
      io.Bytes(c.name);
      io.Enum(c.mode);
      io.Number(c.wait_ms);
      io.Number(c.max_hold_ms);
    } else if constexpr (std::is_same_v<C, Release>) {
      MutationFields(io, c.mutation);
      io.Bytes(c.name);
      io.Number(c.token);
    } else if constexpr (std::is_same_v<C, Cancel>) {
      MutationFields(io, c.mutation);
      io.Number(c.acquire);
    } else if constexpr (std::is_same_v<C, Reconcile>) {
      MutationFields(io, c.mutation);
      io.Number(c.after);
      io.Number(c.watermark);
      NumberList(io, c.live_acquires);
    } else if constexpr (std::is_same_v<C, Bootstrap>) {
      BootstrapFields(io, c);
    } else if constexpr (std::is_same_v<C, RegisterMember>) {
      MemberFields(io, c.member);
    } else if constexpr (std::is_same_v<C, SetSettings>) {
      SettingsFields(io, c.settings);
    } else if constexpr (std::is_same_v<C, SetFeatureLevel>) {
      io.Level(c.feature_level);
    } else if constexpr (std::is_same_v<C, ChangeMembers>) {
      NumberList(io, c.voters);
      NumberList(io, c.outgoing);
      NumberList(io, c.learners);
      io.List(c.added, [&io](auto& member) { MemberFields(io, member); });
    } else {
      static_assert(std::is_same_v<C, Refound>);
      BootstrapFields(io, c.bootstrap);
      io.Number(c.numbers_from);
    }
  }
};

CommandKind KindOf(const OpenSession&) {
  return CommandKind::kOpenSession;
}
CommandKind KindOf(const AttachSession&) {
  return CommandKind::kAttachSession;
}
CommandKind KindOf(const KeepAlives&) {
  return CommandKind::kKeepAlives;
}
CommandKind KindOf(const CloseSession&) {
  return CommandKind::kCloseSession;
}
CommandKind KindOf(const Disconnect&) {
  return CommandKind::kDisconnect;
}
CommandKind KindOf(const Acquire&) {
  return CommandKind::kAcquire;
}
CommandKind KindOf(const Release&) {
  return CommandKind::kRelease;
}
CommandKind KindOf(const Cancel&) {
  return CommandKind::kCancel;
}
CommandKind KindOf(const Reconcile&) {
  return CommandKind::kReconcile;
}
CommandKind KindOf(const Bootstrap&) {
  return CommandKind::kBootstrap;
}
CommandKind KindOf(const RegisterMember&) {
  return CommandKind::kRegisterMember;
}
CommandKind KindOf(const SetSettings&) {
  return CommandKind::kSetSettings;
}
CommandKind KindOf(const SetFeatureLevel&) {
  return CommandKind::kSetFeatureLevel;
}
CommandKind KindOf(const ChangeMembers&) {
  return CommandKind::kChangeMembers;
}
CommandKind KindOf(const Refound&) {
  return CommandKind::kRefound;
}

template <typename T>
bool DecodeAs(absl::string_view payload, Command* command) {
  FieldReader reader(payload);
  CommandFields::Of(reader, command->emplace<T>());
  return reader.AtEnd();
}

// False: not the bytes of any command of this version.
bool DecodePayload(CommandKind kind, absl::string_view payload, Command* command) {
  switch (kind) {
    case CommandKind::kOpenSession:
      return DecodeAs<OpenSession>(payload, command);
    case CommandKind::kAttachSession:
      return DecodeAs<AttachSession>(payload, command);
    case CommandKind::kKeepAlives:
      return DecodeAs<KeepAlives>(payload, command);
    case CommandKind::kCloseSession:
      return DecodeAs<CloseSession>(payload, command);
    case CommandKind::kDisconnect:
      return DecodeAs<Disconnect>(payload, command);
    case CommandKind::kAcquire:
      return DecodeAs<Acquire>(payload, command);
    case CommandKind::kRelease:
      return DecodeAs<Release>(payload, command);
    case CommandKind::kCancel:
      return DecodeAs<Cancel>(payload, command);
    case CommandKind::kReconcile:
      return DecodeAs<Reconcile>(payload, command);
    case CommandKind::kBootstrap:
      return DecodeAs<Bootstrap>(payload, command);
    case CommandKind::kRegisterMember:
      return DecodeAs<RegisterMember>(payload, command);
    case CommandKind::kSetSettings:
      return DecodeAs<SetSettings>(payload, command);
    case CommandKind::kSetFeatureLevel:
      return DecodeAs<SetFeatureLevel>(payload, command);
    case CommandKind::kChangeMembers:
      return DecodeAs<ChangeMembers>(payload, command);
    case CommandKind::kRefound:
      return DecodeAs<Refound>(payload, command);
  }
  return false;
}

}  // namespace

BatchBuilder::BatchBuilder() : bytes_(kBatchHeaderBytes, '\0') {
  StoreLittle(bytes_.data(), kBatchVersion);
}

uint32_t BatchBuilder::Add(const Command& command) {
  const size_t start = bytes_.size();
  bytes_.resize(start + kEnvelopeHeaderBytes);
  FieldWriter writer(bytes_);
  const CommandKind kind = std::visit(
      [&writer](const auto& c) {
        CommandFields::Of(writer, c);
        return KindOf(c);
      },
      command);
  char* header = bytes_.data() + start;
  StoreLittle(header, kCommandVersion);
  StoreLittle(header + 2, static_cast<uint8_t>(kind));
  StoreLittle(header + 3, static_cast<uint32_t>(bytes_.size() - start - kEnvelopeHeaderBytes));
  return count_++;
}

std::string BatchBuilder::Take(WallTime wall_time) {
  StoreLittle(bytes_.data() + 2, static_cast<uint64_t>(wall_time.value()));
  StoreLittle(bytes_.data() + kCountOffset, count_);
  return std::exchange(*this, BatchBuilder()).bytes_;
}

absl::StatusOr<Batch> DecodeBatch(absl::string_view payload) {
  ByteReader reader(payload);
  const uint16_t batch_version = reader.U16();
  if (reader.ok() && batch_version != kBatchVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a log entry has batch version ", batch_version, ", this build knows ", kBatchVersion,
        ": run a version of lockd at least as new as the newest that this cluster has run"));
  }
  Batch batch;
  batch.wall_time = WallTime(static_cast<int64_t>(reader.U64()));
  const uint32_t count = reader.U32();
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    const uint16_t version = reader.U16();
    const auto kind = static_cast<CommandKind>(reader.U8());
    const absl::string_view body = reader.Bytes(reader.U32());
    if (!reader.ok()) break;
    if (version != kCommandVersion) {
      return absl::FailedPreconditionError(absl::StrCat(
          "command ", i, " of a log entry has version ", version, ", this build knows ",
          kCommandVersion,
          ": run a version of lockd at least as new as the newest that this cluster has run"));
    }
    if (!DecodePayload(kind, body, &batch.commands.emplace_back())) {
      return absl::DataLossError(absl::StrCat("command ", i, " of a log entry (kind ",
                                              static_cast<int>(kind), ", ", body.size(),
                                              " bytes) cannot be decoded"));
    }
  }
  if (!reader.AtEnd()) {
    return absl::DataLossError(absl::StrCat("a log entry of ", payload.size(),
                                            " bytes is not a batch of ", count, " commands"));
  }
  return batch;
}

}  // namespace lockd::state
