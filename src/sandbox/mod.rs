//! The only room that speaks to the engine: builds images and runs stacks of strangers' code.
//!
//! `grading` opens a [`Sandbox`] per grading, builds, starts a [`Stack`] and hands it to the
//! checks, which see the types of this room and never bollard. The room knows nothing of
//! exercises, people, SQL or HTTP pages. What must hold for every container, network and build
//! is in `limits.rs` and `service.rs`; what an engine can do is measured in `doctor.rs`.
//!
//! * [`Engine`]: the connection, the chosen builder, the pool of warm pods, the sweep.
//! * [`Sandbox`]: everything one grading owns in the engine; nothing it made outlives it.
//! * [`Image`]: a built or given image and the files in it, read without running it.
//! * [`Stack`], [`Service`]: running containers, each in a pod of ours (see `pod.rs`).
//! * `probe`: our helper process inside a stack's own network; `drydock probe` runs it.

mod accounts_files;
mod asking;
pub mod bases;
mod build;
mod build_cache;
mod build_failure;
mod build_log;
mod build_run;
mod build_step;
mod builder;
mod container;
mod disk;
mod dockerfile;
mod doctor;
mod engine;
mod error;
mod exec;
mod facts;
mod files;
mod ground;
mod health;
mod hooks;
mod image;
mod inspector;
mod labels;
mod limits;
mod load;
mod memory;
mod network;
mod order;
mod output;
mod owned;
mod owner;
mod pod;
mod pool;
pub mod probe;
mod probe_image;
mod processes;
mod protocol;
mod refusal;
mod reproduce;
mod service;
mod session;
mod spec;
mod stack;
mod stock;
mod sweep;
mod terminal;
mod unpacking;
mod volumes;

pub use bases::{BaseOrigin, ensure_base};
pub use build::{BuildError, BuildFailure, BuildFailureReason, BuildRequest, BuildStep, Builder, Built};
pub use builder::Bounded;
pub use container::State;
pub use doctor::{Grade, Point, Rule, examine, render};
pub use engine::{Engine, EngineContext, EngineFacts};
pub use error::Error;
pub use exec::{Ran, RunSpec};
pub use facts::{Bounds, MountKind, Mounted, NetworkFacts};
pub use health::{Health, HealthRun, HealthSpec, HealthStatus};
pub use image::{FileKind, FileStat, Image, ImageConfig};
pub use inspector::Unseen;
pub use limits::Limits;
pub use network::{
    HttpRequest, HttpResponse, Listener, Silence, TcpAnswer, TcpEnd, TcpExchange, WebSocketAnswer,
    WebSocketEvent, WebSocketTalk,
};
pub use output::{LogLine, LogSink, Output};
pub use owned::Sandbox;
pub use processes::Process;
pub use refusal::StartError;
pub use service::{Service, Stopped};
pub use spec::{
    Condition, DEFAULT_NETWORK, Dependency, FileSpec, HookSpec, LONGEST_GRACE, Link, MOST_CONTAINERS,
    MOST_REPLICAS, MountSpec, NetworkMode, Ready, Restart, ServiceLimits, ServiceSpec, Source, StackSpec,
};
pub use stack::{Prepared, Stack};
pub use sweep::Swept;
