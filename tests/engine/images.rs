//! What is read of an image without running it.

use std::io::{self, Read};
use std::time::Duration;

use drydock::sandbox::{Error, FileKind, Image};

use crate::common::{BUSYBOX, Bench};

#[tokio::test]
async fn an_image_is_read_without_being_run() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let image = sandbox.image(BUSYBOX).await.unwrap();
    let config = image.config();
    assert!(config.id.starts_with("sha256:") && config.os == "linux");
    assert!(config.layers >= 1 && config.size_bytes > 100_000, "{config:?}");
    let busybox = image.stat("/bin/busybox").await.unwrap().unwrap();
    assert_eq!(busybox.kind, FileKind::File);
    assert_eq!((busybox.mode & 0o111, busybox.uid, busybox.gid), (0o111, 0, 0));
    assert_eq!(image.stat("/etc").await.unwrap().unwrap().kind, FileKind::Directory);
    assert_eq!(image.stat("/nothing/here").await.unwrap(), None);
    assert_eq!(image.stat("/bin/busybox/below").await.unwrap(), None);
    let passwd = image.read("/etc/passwd", 1000).await.unwrap().unwrap();
    assert!(passwd.starts_with(b"root:"));
    assert_eq!(image.read("/etc/passwd", 4).await.unwrap().unwrap(), "root");
    assert_eq!(image.read("/etc", 4).await.unwrap(), None);
    match sandbox.image("drydock-no-such-image:1").await {
        Err(Error::ImageMissing { image, .. }) => assert_eq!(image, "drydock-no-such-image:1"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("there is no such image"),
    }
    sandbox.clean().await;
    bench.close().await;
}

/// Reads a saved image whole, and counts.
fn count(source: &mut dyn Read) -> u64 {
    io::copy(source, &mut io::sink()).expect("a stream")
}

#[tokio::test]
async fn who_asks_for_a_saved_image_at_once_reads_one_stream() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let image = sandbox.image(BUSYBOX).await.unwrap();
    let all = image.saved(count).await.unwrap().expect("layers");
    assert!(all > image.config().size_bytes, "{all}");

    // One gets it all however fast the others are, or whether they go on.
    let slow = |source: &mut dyn Read| {
        std::thread::sleep(Duration::from_millis(300));
        count(source)
    };
    let early = |source: &mut dyn Read| {
        let mut head = [0; 512];
        source.read_exact(&mut head).map(|()| head.len())
    };
    let impatient = tokio::time::timeout(Duration::from_millis(20), image.saved(slow));
    let (one, two, three, four) =
        tokio::join!(image.saved(count), image.saved(slow), image.saved(early), impatient);
    assert_eq!((one.unwrap(), two.unwrap()), (Some(all), Some(all)));
    assert_eq!(three.unwrap().expect("layers").expect("the first bytes"), 512);
    assert!(four.is_err(), "it gave up");

    // Who comes when it is under way begins from the beginning.
    let late = async |image: &Image| {
        let (told, begun) = tokio::sync::oneshot::channel();
        let first = image.saved(move |source| {
            source.read_exact(&mut [0; 512]).expect("the first bytes");
            told.send(()).expect("somebody waits");
            std::thread::sleep(Duration::from_millis(100));
            count(source) + 512
        });
        let second = async {
            begun.await.expect("it begins");
            image.saved(count).await
        };
        tokio::join!(first, second)
    };
    let (first, second) = late(&image).await;
    assert_eq!((first.unwrap(), second.unwrap()), (Some(all), Some(all)));
    sandbox.clean().await;
    bench.close().await;
}
