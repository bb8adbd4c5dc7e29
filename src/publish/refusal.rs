//! Why nothing is signed: each word for an operator who has to act, and for a page that everybody reads.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;

/// Why nothing is signed. Reports are taken and kept all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The log was signed before, and its guard file is not there.
    GuardMissing {
        /// Where it should be.
        guard: PathBuf,
    },
    /// The guard file does not hold a checkpoint of this log.
    GuardStrange {
        /// Where it is.
        guard: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The log lacks entries that were signed: an older database.
    Behind {
        /// Entries of the log.
        log: u64,
        /// Entries that were signed.
        signed: u64,
    },
    /// The log's first entries are not those that were signed.
    Forked {
        /// Entries that were signed.
        signed: u64,
    },
    /// An entry's bytes are not those of its leaf hash, or it is missing.
    EntryChanged {
        /// Its index.
        index: u64,
    },
    /// The tiles do not give the root of the last checkpoint.
    TilesChanged {
        /// Size of the last checkpoint.
        size: u64,
    },
    /// The entries do not give the head that the writing thread keeps.
    HeadDiffers {
        /// Entries of the log.
        log: u64,
    },
    /// The last checkpoint is signed by another key.
    AnotherKey,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const AUDIT: &str = "run `jijia audit`, then bring back the last good backup with `jijia restore`";
        match self {
            Self::GuardMissing { guard } => write!(
                f,
                "the guard file {} is missing. If the data directory was moved, move it there too; after a restore on \
                 another host use `jijia restore`; if it is lost, put the last checkpoint that a witness or a bundle \
                 has in its place",
                guard.display()
            ),
            Self::GuardStrange { guard, why } => write!(
                f,
                "the guard file {} is not the last checkpoint of this log ({why}). Give each data directory a guard \
                 file of its own ([log] guard_file), or put the right one back",
                guard.display()
            ),
            Self::Behind { log, signed } => write!(
                f,
                "the log has {log} entries, but {signed} were signed: this is an older database. Stop the service and \
                 bring back the newest one; `jijia restore` says how",
            ),
            Self::Forked { signed } => write!(
                f,
                "the first {signed} entries are not those that were signed: an older database went on, or a second \
                 instance signs this log. Look for the other instance; else {AUDIT}",
            ),
            Self::EntryChanged { index } => {
                write!(f, "the stored bytes of entry {index} are not those that were received: {AUDIT}")
            }
            Self::TilesChanged { size } => write!(
                f,
                "the stored tiles do not give the signed head of {size} entries. Run `jijia log rebuild`, which makes \
                 them again from the entries; if that refuses too, {AUDIT}",
            ),
            Self::HeadDiffers { log } => {
                write!(f, "the {log} stored entries do not give the head that was kept with them: {AUDIT}")
            }
            Self::AnotherKey => write!(
                f,
                "log.key is not the key that signed the last checkpoint: put the right one back from the backup"
            ),
        }
    }
}

impl Refusal {
    /// For the pages.
    #[must_use]
    pub fn zh(&self) -> String {
        let what = match self {
            Self::GuardMissing { guard } => {
                format!("找不到看护文件 {}；数据目录搬过家，请把它一起搬来", guard.display())
            }
            Self::GuardStrange { guard, .. } => {
                format!("看护文件 {} 不是本日志的最后检查点", guard.display())
            }
            Self::Behind { log, signed } => {
                format!("日志有 {log} 条，而已签名 {signed} 条：这是较旧的数据库，请换回最新的")
            }
            Self::Forked { signed } => {
                format!("前 {signed} 条与已签名的不一致：恢复过旧库，或有第二个实例在运行")
            }
            Self::EntryChanged { index } => format!("第 {index} 条的存储内容已改变"),
            Self::TilesChanged { size } => {
                format!("前 {size} 条的树与已签名的不一致；请运行 jijia log rebuild")
            }
            Self::HeadDiffers { log } => format!("{log} 条存证与写入时的树根不一致"),
            Self::AnotherKey => "log.key 不是签署上一检查点的密钥".to_owned(),
        };
        format!("{what}。上报照常接收；新条目暂不签名，请管理员处理")
    }
}

/// Why a step ended early.
#[derive(Debug)]
pub(super) enum Fault {
    /// An operator must act.
    Refused(Refusal),
    /// The disk, the database, another process: the next try may do better.
    Failed(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(refusal) => Self::Conflict(format!("nothing was signed: {refusal}")),
            Fault::Failed(error) => error,
        }
    }
}
