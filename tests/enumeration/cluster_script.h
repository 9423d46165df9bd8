// A script of one client with a cluster in which everything happens that makes logs interesting: a
// change of leader with a conflicting suffix, a leader whose disk is slower than its followers',
// a follower that was away; over several segments on each disk.
//
// Threading: one thread.
#ifndef LOCKD_TESTS_ENUMERATION_CLUSTER_SCRIPT_H_
#define LOCKD_TESTS_ENUMERATION_CLUSTER_SCRIPT_H_

#include <functional>

#include "tests/enumeration/crash_cluster.h"

namespace lockd::node {

// Calls `between` after each step of the script, when the network is whole.
void RunScript(
    CrashCluster* cluster, ScriptedClient* client, const std::function<void()>& between = [] {});

}  // namespace lockd::node

#endif  // LOCKD_TESTS_ENUMERATION_CLUSTER_SCRIPT_H_
