//! Following gradings and cohorts, in one process and across two, on SQLite and on PostgreSQL.

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "common/store.rs"]
mod house;

use std::sync::Arc;
use std::time::Duration;

use drydock::live::{Event, LINE_BYTES, LOG_BYTES, Line, Live};
use drydock::report::{Phase, Verdict};
use drydock::store::{Cell, CellState, Error, GradingState, Store};
use futures::{Stream, StreamExt};
use house::{House, LEASE, report};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(10);

fn live(house: &House, store: &Store) -> Live {
    Live::new(store.clone(), house.clock.clone())
}

fn line(text: &str) -> Line {
    Line { text: text.to_owned(), stderr: false }
}

/// The next event, with its number.
async fn next(stream: &mut (impl Stream<Item = (i64, Arc<str>)> + Unpin)) -> (i64, Event) {
    let (seq, payload) =
        tokio::time::timeout(SOON, stream.next()).await.expect("an event in time").expect("one more event");
    (seq, serde_json::from_str(&payload).unwrap())
}

/// Everything until the stream ends; panics when it does not.
async fn all(stream: impl Stream<Item = (i64, Arc<str>)>) -> Vec<(i64, Event)> {
    let read =
        async { stream.map(|(seq, payload)| (seq, serde_json::from_str(&payload).unwrap())).collect().await };
    tokio::time::timeout(SOON, read).await.expect("the stream ends")
}

fn assert_whole(events: &[(i64, Event)]) {
    let numbers: Vec<i64> = events.iter().map(|(seq, _)| *seq).collect();
    let first = numbers[0];
    assert_eq!(numbers, (first..).take(numbers.len()).collect::<Vec<_>>(), "without gap or duplicate");
    assert!(matches!(events.last(), Some((_, Event::Finished { .. }))), "{:?}", events.last());
}

fn lines(events: &[(i64, Event)]) -> Vec<String> {
    let of = |event: &Event| match event {
        Event::Log { lines, .. } => lines.iter().map(|line| line.text.clone()).collect(),
        _ => Vec::new(),
    };
    events.iter().flat_map(|(_, event)| of(event)).collect()
}

on_both! {
    async fn whoever_watches_sees_everything_once_and_in_order(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        // One watches while it is still queued, one comes in the middle, one after the end.
        let early = tokio::spawn(all(live.follow(grading.id, 0)));
        let lease = house.claim("w").await.unwrap().lease;
        let recorder = live.record(&lease);
        recorder.emit(Event::PhaseStarted { phase: Phase::Build });
        for number in 0..500 {
            recorder.log("build", line(&format!("line {number}")));
            if number == 250 {
                recorder.flush().await.unwrap();
            }
        }
        let middle = tokio::spawn(all(live.follow(grading.id, 0)));
        recorder.emit(Event::PhaseFinished { phase: Phase::Build, seconds: 0.5 });
        recorder.finish(&report(Verdict::Passed), None, 1.5).await.unwrap();
        let early = early.await.unwrap();
        assert_whole(&early);
        assert_eq!(early[0], (1, Event::Started { attempt: 1 }));
        assert_eq!(lines(&early), (0..500).map(|number| format!("line {number}")).collect::<Vec<_>>());
        assert_eq!(middle.await.unwrap(), early);
        assert_eq!(all(live.follow(grading.id, 0)).await, early, "late");
        let reloaded = all(live.follow(grading.id, 3)).await;
        assert_eq!(reloaded, early[3..], "goes on where it was");
        assert!(all(live.follow(grading.id, early.last().unwrap().0)).await.is_empty());
        assert_eq!(house.store.grading(grading.id).await.unwrap().state, GradingState::Done);
        assert!(all(live.follow(Uuid::nil(), 0)).await.is_empty(), "what does not exist has no events");
    }

    async fn a_grading_in_another_process_is_followed_as_well(house) {
        let elsewhere = house.neighbour().await;
        let (here, there) = (live(house, &house.store), live(house, &elsewhere));
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let mut watching = Box::pin(here.follow(grading.id, 0));
        let lease = elsewhere.claim("w", LEASE).await.unwrap().unwrap().lease;
        let recorder = there.record(&lease);
        assert_eq!(next(&mut watching).await, (1, Event::Started { attempt: 1 }));
        recorder.log("build", line("from elsewhere"));
        let asked = house.clock.stopwatch();
        let (seq, event) = next(&mut watching).await;
        // The reader also looks by itself, but only every few seconds.
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
        assert_eq!(seq, 2);
        assert_eq!(lines(&[(seq, event)]), ["from elsewhere"]);
        recorder.finish(&report(Verdict::Failed), None, 0.1).await.unwrap();
        let rest = all(watching).await;
        assert_whole(&rest);
        elsewhere.close().await;
    }

    async fn a_watcher_that_lags_reads_the_store_again(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let lease = house.claim("w").await.unwrap().lease;
        let recorder = live.record(&lease);
        let mut slow = Box::pin(live.follow(grading.id, 0));
        assert_eq!(next(&mut slow).await.0, 1);
        // It is joined to what is sent from here on, and takes nothing of it.
        let waiting = tokio::time::timeout(Duration::from_millis(100), slow.next()).await;
        assert!(waiting.is_err());
        for number in 0..300 {
            recorder.emit(Event::PhaseFinished { phase: Phase::Build, seconds: f64::from(number) });
        }
        recorder.flush().await.unwrap();
        recorder.finish(&report(Verdict::Passed), None, 1.0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let rest = all(slow).await;
        assert_eq!(rest.len(), 301);
        assert_eq!(rest[0].0, 2);
        assert_whole(&rest);
    }

    async fn the_log_is_cut_at_its_limit_and_says_so_once(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let lease = house.claim("w").await.unwrap().lease;
        let recorder = live.record(&lease);
        assert!(!recorder.log_truncated());
        let long = "é".repeat(LINE_BYTES);
        let kept = (0..2000).filter(|_| recorder.log("build", line(&long))).count();
        assert!(!recorder.log("app", line("too late")));
        assert!(recorder.log_truncated());
        recorder.emit(Event::PhaseStarted { phase: Phase::Run });
        recorder.finish(&report(Verdict::Failed), None, 1.0).await.unwrap();
        assert!(!recorder.log("app", line("after the end")));
        let events = all(live.follow(grading.id, 0)).await;
        let lines = lines(&events);
        assert_eq!(lines.len(), kept);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES && line.ends_with('…')));
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes <= LOG_BYTES && bytes > LOG_BYTES - 2 * LINE_BYTES - kept * 16, "{bytes}");
        let truncated: Vec<_> = events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::LogTruncated { source } => Some(source.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(truncated, ["build", "app"]);
        assert!(events.iter().any(|(_, event)| matches!(event, Event::PhaseStarted { .. })), "only the log is cut");
        assert_whole(&events);
    }

    async fn a_lost_lease_is_told_and_writes_nothing_more(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let slow = live.record(&house.claim("slow").await.unwrap().lease);
        slow.flush().await.unwrap();
        house.wait(LEASE.as_secs());
        let quick = live.record(&house.claim("quick").await.unwrap().lease);
        quick.flush().await.unwrap();
        assert!(!slow.lease_lost().is_cancelled());
        slow.log("build", line("from the dead"));
        tokio::time::timeout(SOON, slow.lease_lost().cancelled()).await.expect("it is told");
        let error = slow.finish(&report(Verdict::Failed), None, 1.0).await.unwrap_err();
        assert!(matches!(error, Error::LeaseLost(id) if id == grading.id), "{error:?}");
        quick.finish(&report(Verdict::Passed), None, 1.0).await.unwrap();
        let events = all(live.follow(grading.id, 0)).await;
        assert_whole(&events);
        assert!(lines(&events).is_empty());
        assert_eq!(events[1].1, Event::Started { attempt: 2 }, "numbers go on over attempts");
        assert_eq!(house.store.grading(grading.id).await.unwrap().verdict, Some(Verdict::Passed));
    }

    async fn what_is_tried_again_goes_on_in_the_same_stream(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let watching = tokio::spawn(all(live.follow(grading.id, 0)));
        let first = live.record(&house.claim("w").await.unwrap().lease);
        first.log("build", line("first try"));
        first.retry("engine away", Duration::from_secs(5)).await.unwrap();
        house.wait(5);
        let given_back = live.record(&house.claim("w").await.unwrap().lease);
        given_back.release().await.unwrap();
        let second = live.record(&house.claim("w").await.unwrap().lease);
        second.finish(&report(Verdict::Passed), None, 1.0).await.unwrap();
        let events = watching.await.unwrap();
        assert_whole(&events);
        let kinds: Vec<_> = events
            .iter()
            .map(|(_, event)| match event {
                Event::Started { attempt } => format!("started {attempt}"),
                Event::Retrying { attempt, in_seconds } => format!("retrying {attempt} in {in_seconds}"),
                Event::Log { .. } => "log".into(),
                Event::Finished { .. } => "finished".into(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(kinds, ["started 1", "log", "retrying 2 in 5", "started 2", "started 2", "finished"]);
    }

    async fn thinned_out_events_still_end_the_stream(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let recorder = live.record(&house.claim("w").await.unwrap().lease);
        recorder.log("build", line("old"));
        recorder.finish(&report(Verdict::Passed), None, 1.0).await.unwrap();
        house.wait(1);
        house.store.prune_events(house.now()).await.unwrap();
        let events = all(live.follow(grading.id, 0)).await;
        assert_eq!(events.len(), 1);
        assert_whole(&events);
        assert!(all(live.follow(grading.id, events[0].0)).await.is_empty());
    }

    async fn one_reader_serves_all_who_watch_and_stops_with_the_last(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let recorder = live.record(&house.claim("w").await.unwrap().lease);
        let mut watchers: Vec<_> = (0..50).map(|_| Box::pin(live.follow(grading.id, 0))).collect();
        for watcher in &mut watchers {
            assert_eq!(next(watcher).await.0, 1);
        }
        // Now they wait, and have joined.
        let mut any = futures::stream::select_all(&mut watchers);
        assert!(tokio::time::timeout(Duration::from_secs(1), any.next()).await.is_err());
        drop(any);
        assert_eq!(live.watched().0, 1);
        // A watcher that was slow reads by itself once and shares from then on.
        let mut one_text = false;
        for _ in 0..100 {
            recorder.emit(Event::PhaseStarted { phase: Phase::Read });
            // All wait at once, as they do in a server; one that is asked late counts as slow.
            let all = futures::future::join_all(watchers.iter_mut().map(StreamExt::next));
            let shared: Vec<Arc<str>> = tokio::time::timeout(SOON, all)
                .await
                .unwrap()
                .into_iter()
                .map(|event| event.unwrap().1)
                .collect();
            one_text = shared.iter().all(|payload| Arc::ptr_eq(payload, &shared[0]));
            if one_text {
                break;
            }
        }
        assert!(one_text, "one text for all of them");
        drop(watchers);
        assert_eq!(live.watched().0, 0);
    }

    async fn streams_end_when_the_server_does(house) {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let (_, grading) = house.submit(ada).await;
        let watching = tokio::spawn(all(live.follow(grading.id, 0)));
        let grid = tokio::spawn(live.follow_cohort(house.cohort.id, None).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!watching.is_finished() && !grid.is_finished());
        live.end_streams();
        tokio::time::timeout(SOON, watching).await.expect("ends").unwrap();
        tokio::time::timeout(SOON, grid).await.expect("ends").unwrap();
        assert!(all(live.follow(grading.id, 0)).await.is_empty(), "none begins any more");
    }

    async fn a_cohorts_changes_come_from_here_and_from_elsewhere(house) {
        let elsewhere = house.neighbour().await;
        let (here, there) = (live(house, &house.store), live(house, &elsewhere));
        let ada = house.student("Ada").await;
        house.submit(ada).await;
        let since = house.now();
        // Whoever opened the page before misses nothing.
        let mut grid: Grid = Box::pin(here.follow_cohort(house.cohort.id, Some(since)));
        assert_eq!(next_state(&mut grid).await, (ada, CellState::Queued));
        assert_eq!(here.watched().1, 1);
        house.wait(1);
        let recorder = there.record(&elsewhere.claim("w", LEASE).await.unwrap().unwrap().lease);
        until(&mut grid, CellState::Running).await;
        house.wait(1);
        recorder.finish(&report(Verdict::Passed), None, 1.0).await.unwrap();
        until(&mut grid, CellState::Passed).await;
        house.wait(1);
        house.submit(ada).await;
        until(&mut grid, CellState::Queued).await;
        let quiet = tokio::time::timeout(Duration::from_millis(800), grid.next()).await;
        assert!(quiet.is_err(), "nothing changed, and something came: {quiet:?}");
        // A second watcher shares the reader.
        let other = here.follow_cohort(house.cohort.id, None);
        assert_eq!(here.watched().1, 1);
        drop((grid, other));
        assert_eq!(here.watched().1, 0);
        elsewhere.close().await;
    }
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_idle_watchers_take_little() {
    House::run(house::Database::Sqlite, async |house| {
        let live = live(house, &house.store);
        let ada = house.student("Ada").await;
        let mut gradings = Vec::new();
        for _ in 0..200 {
            gradings.push(house.submit(ada).await.1.id);
        }
        let before = resident();
        let mut watchers = Vec::new();
        for number in 0..2000 {
            let mut watcher = Box::pin(live.follow(gradings[number % gradings.len()], 0));
            assert!(futures::poll!(watcher.next()).is_pending());
            watchers.push(watcher);
        }
        let mut any = futures::stream::select_all(&mut watchers);
        let waiting = tokio::time::timeout(Duration::from_secs(2), any.next()).await;
        assert!(waiting.is_err(), "nothing happens");
        drop(any);
        assert_eq!(live.watched().0, 200);
        let each = resident().saturating_sub(before) / watchers.len();
        println!("an idle watcher takes {each} bytes with its share of the readers");
        assert!(each < 10 * 1024, "{each} bytes");
    })
    .await;
}

type Grid = std::pin::Pin<Box<dyn Stream<Item = drydock::live::CohortChange> + Send>>;

async fn next_state(grid: &mut Grid) -> (Uuid, CellState) {
    let change = tokio::time::timeout(SOON, grid.next()).await.expect("a change in time").expect("one more");
    let cells: Vec<Cell> = serde_json::from_str(&change.cells).unwrap();
    assert_eq!(cells.iter().map(|cell| cell.changed_at).max(), Some(change.at));
    let cell = cells.last().unwrap();
    (cell.person, cell.state)
}

async fn until(grid: &mut Grid, wanted: CellState) {
    while next_state(grid).await.1 != wanted {}
}
