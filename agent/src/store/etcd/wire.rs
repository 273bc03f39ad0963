//! The part of etcd's v3 messages that we speak, written by hand for `prost`. Numbers and types are those of
//! etcd's `rpc.proto`, `kv.proto` and `auth.proto`; fields that we neither set nor read are left out, which protobuf allows.
//!
//! It must never hold logic: what a message means is decided by its callers.

use bytes::Bytes;
use prost::{Message, Oneof};

/// Comes with every answer.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Header {
    #[prost(uint64, tag = "1")]
    pub cluster: u64,
    #[prost(uint64, tag = "2")]
    pub member: u64,
    #[prost(int64, tag = "3")]
    pub revision: i64,
}

/// One key as etcd has it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(int64, tag = "2")]
    pub created: i64,
    #[prost(int64, tag = "3")]
    pub modified: i64,
    #[prost(bytes = "bytes", tag = "5")]
    pub value: Bytes,
}

/// Reads keys. `serializable` stays unset: every read is linearizable.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub end: Bytes,
    #[prost(int64, tag = "3")]
    pub limit: i64,
    #[prost(int64, tag = "4")]
    pub revision: i64,
}

/// What was read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    pub entries: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    pub more: bool,
}

/// Writes one key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
    #[prost(int64, tag = "3")]
    pub lease: i64,
}

/// Removes one key, or a range.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeleteRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub end: Bytes,
}

/// One operation of a transaction.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RequestOp {
    #[prost(oneof = "Request", tags = "2, 3")]
    pub request: Option<Request>,
}

/// Which operation.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Request {
    #[prost(message, tag = "2")]
    Put(PutRequest),
    #[prost(message, tag = "3")]
    Delete(DeleteRequest),
}

/// `result` is always 0: equal.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Compare {
    #[prost(int32, tag = "2")]
    pub target: i32,
    #[prost(bytes = "bytes", tag = "3")]
    pub key: Bytes,
    #[prost(oneof = "CompareWith", tags = "5, 6, 7")]
    pub with: Option<CompareWith>,
}

/// `Compare::target` for the create revision.
pub(crate) const TARGET_CREATE: i32 = 1;
/// `Compare::target` for the modification revision.
pub(crate) const TARGET_MOD: i32 = 2;

/// What a key is compared with.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum CompareWith {
    #[prost(int64, tag = "5")]
    Created(i64),
    #[prost(int64, tag = "6")]
    Modified(i64),
    #[prost(bytes = "bytes", tag = "7")]
    Value(Bytes),
}

/// If all compares hold, all of `success`; else nothing.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TxnRequest {
    #[prost(message, repeated, tag = "1")]
    pub compares: Vec<Compare>,
    #[prost(message, repeated, tag = "2")]
    pub success: Vec<RequestOp>,
}

/// Whether they held.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TxnResponse {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(bool, tag = "2")]
    pub succeeded: bool,
}

/// Forgets history up to a revision.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CompactRequest {
    #[prost(int64, tag = "1")]
    pub revision: i64,
    #[prost(bool, tag = "2")]
    pub physical: bool,
}

/// Towards a watch stream.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchRequest {
    #[prost(oneof = "WatchAsk", tags = "1, 3")]
    pub ask: Option<WatchAsk>,
}

/// What is asked of a watch stream.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum WatchAsk {
    #[prost(message, tag = "1")]
    Create(WatchCreate),
    #[prost(message, tag = "3")]
    Progress(Empty),
}

/// A message without fields that we use.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {}

/// Starts a watch.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchCreate {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub end: Bytes,
    #[prost(int64, tag = "3")]
    pub start: i64,
    #[prost(bool, tag = "4")]
    pub progress_notify: bool,
}

/// From a watch stream.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchResponse {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(int64, tag = "2")]
    pub id: i64,
    #[prost(bool, tag = "3")]
    pub created: bool,
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    #[prost(int64, tag = "5")]
    pub compacted: i64,
    #[prost(string, tag = "6")]
    pub reason: String,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<Event>,
}

/// One change.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(message, optional, tag = "2")]
    pub entry: Option<KeyValue>,
}

/// `Event::kind` of a removal.
pub(crate) const EVENT_DELETE: i32 = 1;

/// Makes a lease.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LeaseGrantRequest {
    #[prost(int64, tag = "1")]
    pub ttl_secs: i64,
}

/// Also the answer of a keep-alive: both have these fields at these places.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LeaseResponse {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(int64, tag = "2")]
    pub id: i64,
    #[prost(int64, tag = "3")]
    pub ttl_secs: i64,
}

/// Revokes or keeps alive.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LeaseId {
    #[prost(int64, tag = "1")]
    pub id: i64,
}

/// State of one member.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub header: Option<Header>,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(uint64, tag = "4")]
    pub leader: u64,
}

/// Whether roles are enforced.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AuthStatusResponse {
    #[prost(bool, tag = "2")]
    pub enabled: bool,
}

/// Makes a user.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UserAddRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    pub options: Option<UserAddOptions>,
}

/// Users here have no password: the certificate's common name is the user.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UserAddOptions {
    #[prost(bool, tag = "1")]
    pub no_password: bool,
}

/// Names one user or role.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Name {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A user and one of its roles.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UserRole {
    #[prost(string, tag = "1")]
    pub user: String,
    #[prost(string, tag = "2")]
    pub role: String,
}

/// Names of users, of roles, or of a user's roles: all three answers have them at this place.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Names {
    #[prost(string, repeated, tag = "2")]
    pub names: Vec<String>,
}

/// What a role may do.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub(crate) struct Permission {
    /// [`PERMIT_READ`], [`PERMIT_WRITE`] or [`PERMIT_BOTH`].
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub end: Bytes,
}

/// May read.
pub(crate) const PERMIT_READ: i32 = 0;
/// May write.
pub(crate) const PERMIT_WRITE: i32 = 1;
/// May do both.
pub(crate) const PERMIT_BOTH: i32 = 2;

/// A role's permissions.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoleGetResponse {
    #[prost(message, repeated, tag = "2")]
    pub permissions: Vec<Permission>,
}

/// Gives a role a permission.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoleGrant {
    #[prost(string, tag = "1")]
    pub role: String,
    #[prost(message, optional, tag = "2")]
    pub permission: Option<Permission>,
}

/// Takes a permission from a role.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RoleRevoke {
    #[prost(string, tag = "1")]
    pub role: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub end: Bytes,
}
