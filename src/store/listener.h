// StoreListener: what the store tells the queue. Called on the store's shard, from inside open()
// or from a completion; it must not call the store back except begin(), record_outcome() and
// finish(), and must not block. A Message is the store's; it stays where it is until finish() was
// called with it, and its `owner` is the listener's to set.
#pragma once

#include "mail/content.h"
#include "mail/envelope.h"
#include "store/message_table.h"

namespace store {

class StoreListener {
  public:
    StoreListener() = default;
    StoreListener(const StoreListener&) = delete;
    StoreListener& operator=(const StoreListener&) = delete;
    virtual ~StoreListener() = default;

    // Each live message, once, before open() ends: those with a recipient who was never tried, or
    // with none left to try, in the order of ids per partition, behind all others. A message may
    // come with all its recipients final (a crash came before finish() was durable): finish it.
    virtual void recovered(Message& message) = 0;
    // Each message that has become durable, in log order, before its session is woken. The envelope
    // and the facts hold during the call only.
    virtual void committed(Message& message, const mail::Envelope& envelope,
                           const mail::ContentFacts& facts) = 0;
    // A rule has become durable in one of the partitions: Store::rule_durable() may say so now.
    virtual void rule_durable() = 0;
};

}  // namespace store
