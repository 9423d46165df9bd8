// All verbs, each defined in the file verb_NAME.cc.
//
// Threading: pure value.
#ifndef LOCKD_TESTS_SUPPORT_RAFT_ENV_VERBS_H_
#define LOCKD_TESTS_SUPPORT_RAFT_ENV_VERBS_H_

#include "tests/support/raft_env/verb.h"

namespace lockd::raft_env {

// -- the cluster --
extern const Verb kAddNodes;
extern const Verb kSetLog;
// -- inputs of a member --
extern const Verb kCampaign;
extern const Verb kElect;
extern const Verb kTick;
extern const Verb kSuspect;
extern const Verb kTransfer;
extern const Verb kPropose;
extern const Verb kChange;
extern const Verb kRead;
extern const Verb kInject;
// -- outputs of a member --
extern const Verb kReady;
extern const Verb kPersist;
extern const Verb kApply;
// -- snapshots --
extern const Verb kSnapshot;
extern const Verb kCompact;
extern const Verb kSendChunk;
extern const Verb kRestore;
// -- messages --
extern const Verb kDeliver;
extern const Verb kDrop;
extern const Verb kDuplicate;
extern const Verb kHold;
extern const Verb kRelease;
// -- everything at once --
extern const Verb kStabilize;
extern const Verb kRun;
// -- faults --
extern const Verb kCrash;
extern const Verb kRestart;
extern const Verb kCut;
extern const Verb kPartition;
extern const Verb kHeal;
// -- looking --
extern const Verb kExpect;
extern const Verb kPrintState;
extern const Verb kPrintLog;
extern const Verb kPrintCore;
extern const Verb kPrintMessages;
extern const Verb kPrintDisk;
extern const Verb kOutput;

}  // namespace lockd::raft_env

#endif  // LOCKD_TESTS_SUPPORT_RAFT_ENV_VERBS_H_
