//! The request that a build is to the engine: its bounds, and how it is sent.

use std::pin::pin;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuilderVersion};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::Uri;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use super::Job;

/// The period that CPU quotas count against, the kernel's default.
const CPU_PERIOD_MICROS: i32 = 100_000;

pub(super) fn options(job: &Job) -> BuildImageOptions {
    let buildkit = job.version == BuilderVersion::BuilderBuildKit;
    // The API's number is larger, the library's is not: steps get at most 2 GiB.
    let memory = i32::try_from(job.memory_bytes).unwrap_or(i32::MAX);
    BuildImageOptions {
        dockerfile: job.dockerfile.clone(),
        target: job.target.clone().unwrap_or_default(),
        buildargs: Some(job.args.clone()),
        labels: (!job.labels.is_empty()).then(|| job.labels.clone()),
        networkmode: Some(if job.internet { "default" } else { "none" }.to_owned()),
        memory: Some(memory),
        memswap: Some(memory),
        cpuperiod: Some(CPU_PERIOD_MICROS),
        cpuquota: Some(i32::try_from(u64::from(job.cpu_millis) * 100).unwrap_or(i32::MAX)),
        nocache: job.no_cache,
        rm: true,
        forcerm: true,
        version: job.version,
        session: buildkit.then(|| Uuid::new_v4().to_string()),
        ..BuildImageOptions::default()
    }
}

/// A connection whose builds may make files of at most so many bytes.
///
/// The watch over the disk looks every other second, while the engine writes out each hole of a file when it keeps
/// what a step made: a file of terabytes takes a step one call. The API's build request knows `ulimits`, the
/// library's options do not.
pub(super) fn bounding_files(docker: Docker, most_bytes: u64) -> Docker {
    let Ok(bytes) = i64::try_from(most_bytes) else { return docker };
    docker.with_request_modifier(move |mut request| {
        if let Some(uri) = with_largest_file(request.uri(), bytes) {
            *request.uri_mut() = uri;
        }
        request
    })
}

/// The address of a build request with the limit; `None` of any other request.
fn with_largest_file(uri: &Uri, bytes: i64) -> Option<Uri> {
    if !uri.path().ends_with("/build") {
        return None;
    }
    let limits = json!([{"Name": "fsize", "Soft": bytes, "Hard": bytes}]).to_string();
    let query = form_urlencoded::Serializer::new(uri.query().unwrap_or_default().to_owned())
        .append_pair("ulimits", &limits)
        .finish();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{}?{query}", uri.path()).parse().ok();
    Uri::from_parts(parts).ok()
}

/// A BuildKit build in a runtime of its own. The library leaves the session's connection to a task
/// that ends only with its runtime: without this, every build would keep one open for ever.
pub(super) fn on_its_own(
    endpoint: String,
    most_bytes: u64,
    options: BuildImageOptions,
    context: Bytes,
) -> BoxStream<'static, Result<BuildInfo, EngineError>> {
    let (sender, receiver) = mpsc::channel(16);
    let build = async move {
        let docker = match Docker::connect_with_host(&endpoint) {
            Ok(docker) => docker.negotiate_version().await,
            Err(error) => Err(error),
        };
        let docker = match docker {
            Ok(docker) => bounding_files(docker, most_bytes),
            Err(error) => return drop(sender.send(Err(error)).await),
        };
        let mut stream = pin!(docker.build_image(options, None, Some(bollard::body_full(context))));
        loop {
            tokio::select! {
                () = sender.closed() => return,
                told = stream.next() => match told {
                    Some(told) => if sender.send(told).await.is_err() { return },
                    None => return,
                },
            }
        }
    };
    tokio::task::spawn_blocking(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(build);
        }
    });
    ReceiverStream::new(receiver).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_request_says_how_large_a_file_may_be() {
        let asked = |uri: &str| with_largest_file(&uri.parse().unwrap(), 1 << 20).map(|uri| uri.to_string());
        let limits =
            "ulimits=%5B%7B%22Name%22%3A%22fsize%22%2C%22Soft%22%3A1048576%2C%22Hard%22%3A1048576%7D%5D";
        assert_eq!(
            asked("http://engine:2375/v1.41/build?q=&t=a%26b"),
            Some(format!("http://engine:2375/v1.41/build?q=&t=a%26b&{limits}"))
        );
        assert_eq!(asked("http://engine:2375/v1.41/build/prune?q="), None);
        assert_eq!(asked("http://engine:2375/v1.41/images/json"), None);
    }
}
