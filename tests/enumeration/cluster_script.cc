#include "tests/enumeration/cluster_script.h"

#include "absl/strings/str_cat.h"

namespace lockd::node {
namespace {

// Zero when there is none for a while: a node is down, and another one away.
int LeaderOf(CrashCluster* cluster) {
  (void)cluster->env().RunUntil([&] { return cluster->env().leader() != 0; }, 3'000);
  return cluster->env().leader();
}

// The leader is cut off with a request that it cannot commit; the others go on without it.
void ChangeLeader(CrashCluster* cluster, ScriptedClient* client) {
  NodeEnv& env = cluster->env();
  const int old_leader = LeaderOf(cluster);
  if (old_leader == 0) return;
  env.Isolate(old_leader);
  pb::OpenSessionRequest request;
  request.set_nonce("a-stranger-nonce");
  request.set_ttl_ms(10'000);
  ScriptedClient stranger(cluster);
  stranger.SendTo(old_leader, Opcode::kOpenSession, request);
  const auto is_led_by_another = [&] {
    return env.leader() != 0 && (env.leader() != old_leader || !env.IsUp(old_leader));
  };
  // The old one gives up first, having heard nobody.
  (void)env.RunUntil(is_led_by_another, 3'000);
  if (env.leader() != 0) client->Acquire("changed");
  env.Rejoin(old_leader);
}

}  // namespace

void RunScript(CrashCluster* cluster, ScriptedClient* client,
               const std::function<void()>& between) {
  NodeEnv& env = cluster->env();
  client->OpenSession();
  between();
  for (int i = 0; i < 3; ++i) client->Acquire(absl::StrCat("first-", i));
  between();
  client->Release("first-1");
  client->Acquire("first-1");
  between();
  // The followers are faster than the leader's disk.
  if (const int leader = LeaderOf(cluster); leader != 0) {
    env.HoldDisk(leader);
    client->Acquire("held-disk");
    client->Release("first-2");
    env.ReleaseDisk(leader);
    env.Settle();
  }
  between();
  ChangeLeader(cluster, client);
  env.RunFor(400);
  between();
  // One is away and comes back behind.
  if (const int leader = LeaderOf(cluster); leader != 0) {
    const int away = leader % CrashCluster::kCount + 1;
    env.Isolate(away);
    for (int i = 0; i < 3; ++i) client->Acquire(absl::StrCat("second-", i));
    env.Rejoin(away);
    env.RunFor(300);
  }
  between();
  client->Release("first-0");
  client->Acquire("last");
  env.RunFor(300);
  between();
}

}  // namespace lockd::node
