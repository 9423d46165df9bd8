#include "tools/lockctl/read_command.h"

#include <algorithm>
#include <iostream>
#include <utility>
#include <vector>

#include "client/client.h"
#include "tools/cli/cluster_status.h"
#include "tools/lockctl/call.h"
#include "tools/lockctl/exit_status.h"
#include "tools/lockctl/render.h"

namespace lockd::lockctl {
namespace {

int TransferExitStatus(TransferStatus status) {
  switch (status) {
    case TransferStatus::kTransferred:
      return kExitOk;
    case TransferStatus::kNoSuchMember:
      return kExitNoSuch;
    default:
      return kExitRefused;
  }
}

}  // namespace

int RunGet(const Arguments& arguments, const GetArguments& get) {
  const auto lock = Await<absl::StatusOr<LockRecord>>(arguments, [&](Client& client, auto done) {
    client.GetLock(get.name, MakeReadOptions(arguments), std::move(done));
  });
  return Report(arguments, lock);
}

int RunList(const Arguments& arguments, const ListArguments& list) {
  const auto locks =
      Await<absl::StatusOr<std::vector<LockRecord>>>(arguments, [&](Client& client, auto done) {
        client.ListLocks(list.prefix, MakeReadOptions(arguments), std::move(done));
      });
  return Report(arguments, locks);
}

int RunSessions(const Arguments& arguments) {
  const auto sessions =
      Await<absl::StatusOr<std::vector<SessionRecord>>>(arguments, [&](Client& client, auto done) {
        client.ListSessions(MakeReadOptions(arguments), std::move(done));
      });
  return Report(arguments, sessions);
}

int RunStatus(const Arguments& arguments) {
  const auto reports =
      Await<std::vector<cli::NodeReport>>(arguments, [&](Client& client, auto done) {
        cli::CollectStatus(client, MakeReadOptions(arguments), std::move(done));
      });
  Print(arguments, reports);
  const bool has_answer =
      std::any_of(reports.begin(), reports.end(), [](const auto& r) { return r.status.ok(); });
  if (!has_answer) std::cerr << "lockctl: no node of the cluster answers\n";
  return has_answer ? kExitOk : kExitUnavailable;
}

int RunTransfer(const Arguments& arguments, const TransferArguments& transfer) {
  const auto record =
      Await<absl::StatusOr<TransferRecord>>(arguments, [&](Client& client, auto done) {
        client.TransferLeadership(NodeId(transfer.to_node_id), MakeReadOptions(arguments),
                                  std::move(done));
      });
  const int exit_status = Report(arguments, record);
  if (!record.ok()) return exit_status;
  if (record->status != TransferStatus::kTransferred) {
    std::cerr << "lockctl: leadership was not transferred: " << Explanation(record->status) << '\n';
  }
  return TransferExitStatus(record->status);
}

}  // namespace lockd::lockctl
