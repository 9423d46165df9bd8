// D/members: how a data directory comes to its cluster, in one line:
//
//   1=10.0.0.1:7421,2=10.0.0.2:7421,3=10.0.0.3:7421     it forms it with these, as --peers says
//   join 10.0.0.1:7421                                  it joins one, of which this is a member
//   restored 1=10.0.0.1:7421,...                        made from a backup, it forms a new one with
//                                                       these (restore.h)
//
// Written whole (temp file, sync, rename, directory sync) by each start before the log holds
// anything, as the flags of that start say; a start without those flags goes on as the file says.
// Once the log holds something the file is never written again: it wins over the flags, and the
// members that the log knows win over both.
//
// Threading: any (no state).
#ifndef LOCKD_SERVER_MEMBERS_FILE_H_
#define LOCKD_SERVER_MEMBERS_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "consensus/storage/file_system.h"
#include "server/config.h"
#include "server/state/types.h"

namespace lockd {

struct Origin {
  std::vector<state::Member> founders;  // with this node, ascending by id; empty: it joins
  std::string contact_address{};        // it joins: the peer address of a member

  bool is_restored = false;  // from a backup

  [[nodiscard]] bool joins() const { return founders.empty(); }
  friend bool operator==(const Origin&, const Origin&) = default;
};

// What the flags say.
[[nodiscard]] Origin OriginOf(const Config& config);
// What counts. `written` is what ReadMembersFile gave; `is_unused`: the log holds nothing yet, and
// what comes out is to be written. DataLoss: nobody can say, and what to do.
[[nodiscard]] absl::StatusOr<Origin> ChooseOrigin(const Config& config,
                                                  absl::StatusOr<Origin> written, bool is_unused);

[[nodiscard]] absl::Status WriteMembersFile(storage::FileSystem* file_system,
                                            const std::string& directory, const Origin& origin);
// NotFound, which names the file; DataLoss when it is not what was written.
[[nodiscard]] absl::StatusOr<Origin> ReadMembersFile(storage::FileSystem* file_system,
                                                     const std::string& directory);

}  // namespace lockd

#endif  // LOCKD_SERVER_MEMBERS_FILE_H_
