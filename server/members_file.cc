#include "server/members_file.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "protocol/base/text.h"

namespace lockd {
namespace {

constexpr char kName[] = "members";
constexpr char kTempName[] = "members.tmp";

constexpr char kJoin[] = "join ";
constexpr char kRestored[] = "restored ";
constexpr char kMend[] =
    "write back, as one line, the --peers of the cluster's first start, or `join HOST:PORT` if "
    "this "
    "node was started with --join";

absl::StatusOr<Origin> ParseOrigin(absl::string_view line) {
  Origin origin;
  if (absl::ConsumePrefix(&line, kJoin)) {
    const absl::StatusOr<HostPort> contact = ParseHostPort(line);
    if (!contact.ok()) return contact.status();
    origin.contact_address = contact->ToString();
    return origin;
  }
  origin.is_restored = absl::ConsumePrefix(&line, kRestored);
  absl::StatusOr<std::vector<state::Member>> founders = ParsePeers(line);
  if (!founders.ok()) return founders.status();
  origin.founders = *std::move(founders);
  return origin;
}

std::string FormatOrigin(const Origin& origin) {
  if (origin.joins()) return absl::StrCat(kJoin, origin.contact_address);
  return absl::StrCat(origin.is_restored ? kRestored : "", FormatPeers(origin.founders));
}

}  // namespace

Origin OriginOf(const Config& config) {
  return {.founders = config.peers,
          .contact_address = config.join ? config.join->ToString() : std::string()};
}

absl::StatusOr<Origin> ChooseOrigin(const Config& config, absl::StatusOr<Origin> written,
                                    bool is_unused) {
  const bool flags_say = config.peers_given || config.join.has_value();
  // A directory that has promised nothing may be sent elsewhere. Without a word it goes on where it
  // was sent: a joiner, or one of several founders, must not form a cluster of its own.
  if (is_unused && (flags_say || absl::IsNotFound(written.status()))) return OriginOf(config);
  if (absl::IsNotFound(written.status())) {
    return absl::DataLossError(
        absl::StrCat(std::string(written.status().message()),
                     " at offset 0: missing beside a log that is not empty; ", kMend));
  }
  // The member that was asked first may be gone since.
  if (written.ok() && written->joins() && config.join) return OriginOf(config);
  return written;
}

absl::Status WriteMembersFile(storage::FileSystem* file_system, const std::string& directory,
                              const Origin& origin) {
  const std::string path = storage::JoinPath(directory, kName);
  const std::string temp = storage::JoinPath(directory, kTempName);
  const absl::Status removed = file_system->Unlink(temp);  // of a start that was cut off
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  auto file = file_system->Open(temp, storage::FileSystem::OpenMode::kCreate);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->Write(0, absl::StrCat(FormatOrigin(origin), "\n"));
  if (status.ok()) status = (*file)->Sync();
  if (status.ok()) status = file_system->Rename(temp, path);
  if (status.ok()) status = file_system->SyncDirectory(directory);
  return status;
}

absl::StatusOr<Origin> ReadMembersFile(storage::FileSystem* file_system,
                                       const std::string& directory) {
  const std::string path = storage::JoinPath(directory, kName);
  auto file = file_system->Open(path, storage::FileSystem::OpenMode::kRead);
  if (absl::IsNotFound(file.status())) return absl::NotFoundError(path);
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::string text(*size, '\0');
  const absl::StatusOr<size_t> count = (*file)->Read(0, text.size(), text.data());
  if (!count.ok()) return count.status();
  absl::string_view line = text;
  if (*count == text.size() && absl::ConsumeSuffix(&line, "\n")) {
    absl::StatusOr<Origin> origin = ParseOrigin(line);
    if (origin.ok()) return origin;
  }
  return absl::DataLossError(
      absl::StrCat(path, " at offset 0: not a list of founders and not `join`; ", kMend));
}

}  // namespace lockd
