//! One night: an installation on an engine of its own, students, and somebody who kills.

use std::sync::Arc;
use std::time::Duration;

use drydock::clock::Clock;
use drydock::store::Store;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

use super::leftovers::{Inventory, Room, swept};
use super::students::{Accepted, Address, Students, hand_in};
use super::verdicts::{assert_right, settled};
use super::work::{EXERCISES, KINDS};
use crate::server::{Database, Installation, PrivateEngine, Process};

/// Short, so that everything that hangs on a time happens often; as many attempts as there may be, because each
/// kill takes one from whatever was under way, and here no kill may be the end of anything.
const SETTINGS: &str = r#"
[worker]
slots = 2
lease = "3s"
attempts = 1000
backoff = "100ms"

[sandbox]
warm_pods = 1
builder = "classic"
pull = false
sweep_every = "2s"
"#;

/// Kills where nobody says how many.
const KILLS: usize = 5;
/// The longest time between two kills, the pause before a start, and that before the engine's.
const BETWEEN: Duration = Duration::from_secs(6);
const DOWN: Duration = Duration::from_millis(800);
const ENGINE_DOWN: Duration = Duration::from_millis(2500);

/// What a submission may leave in the database (its log and events, of several attempts) and in files (its content).
const DATABASE_BYTES_EACH: u64 = 512 << 10;
const CONTENT_BYTES_EACH: u64 = 8 << 10;
/// What does not grow with anything: a write-ahead log, pages not yet full, a journal.
const SLACK_BYTES: u64 = 8 << 20;
/// What an engine that is killed may forget in its folder: parts of a layer that it had begun, its own books.
const ENGINE_BYTES_PER_KILL: u64 = 512 << 10;

#[derive(Clone, Copy, Debug)]
enum Victim {
    Server,
    Worker,
    Engine,
}

pub struct Night {
    installation: Arc<Installation>,
    store: Store,
    /// With a worker of its own.
    server: Option<Process>,
    address: Address,
    /// Beside the server, where the database is for several.
    worker: Option<Process>,
    has_worker: bool,
    /// Whose turn it is, from the last to the next.
    victims: Vec<Victim>,
    random: StdRng,
    seed: u64,
    kills: usize,
    /// Last, because the installation looks into it to the end.
    engine: PrivateEngine,
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is {value:?}, which is no number")))
}

impl Night {
    /// Sets everything up.
    pub async fn fall(database: Database) -> Self {
        let seed = setting("DRYDOCK_CHAOS_SEED").unwrap_or_else(|| Uuid::new_v4().as_u64_pair().1);
        let kills = setting("DRYDOCK_CHAOS_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
        println!("{database:?}: DRYDOCK_CHAOS_SEED={seed} DRYDOCK_CHAOS_KILLS={kills}");
        let engine = PrivateEngine::start(&["busybox:1.37"]);
        let installation = Installation::on_engine(database, SETTINGS, EXERCISES, Some(engine.host())).await;
        let store = installation.store().await;
        let mut night = Self {
            installation: Arc::new(installation),
            store,
            server: None,
            address: Address::new(None),
            worker: None,
            has_worker: database == Database::Postgres,
            victims: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            seed,
            kills,
            engine,
        };
        night.wake();
        night
    }

    /// Kills, and looks at what is left of it in the morning.
    pub async fn pass(mut self) {
        let watch = Clock::system().stopwatch();
        let mut accepted = Vec::new();
        for kind in KINDS {
            let nonce = self.random.random();
            accepted.push(hand_in(&self.installation, &self.address.subscribe(), kind, nonce).await);
        }
        self.judged(&accepted).await;
        self.rest();
        let (things, room, stored) = self.seen();
        println!(
            "{:.0?}: undisturbed, all is as it should be; {room:?}, engine {stored} bytes",
            watch.elapsed()
        );

        self.wake();
        let students = Students::begin(
            Arc::clone(&self.installation),
            self.store.clone(),
            self.address.subscribe(),
            self.seed.wrapping_add(1),
        );
        let mut engine_kills = 0;
        for number in 1..=self.kills {
            let pause = self.up_to(BETWEEN);
            tokio::time::sleep(pause).await;
            let victim = self.victim();
            println!("{:.1?}: kill {number}, {victim:?}", watch.elapsed());
            self.kill(victim).await;
            engine_kills += u64::from(matches!(victim, Victim::Engine));
        }
        accepted.extend(students.end().await);
        println!("{:.0?}: {} accepted", watch.elapsed(), accepted.len());
        let attempts = self.judged(&accepted).await;
        println!("{:.0?}: all have their verdict after {attempts} attempts", watch.elapsed());

        swept(&self.installation, 1 + usize::from(self.has_worker)).await;
        self.rest();
        let (things_now, room_now, stored_now) = self.seen();
        println!("{:.0?}: {room_now:?}, engine {stored_now} bytes", watch.elapsed());
        let left = things_now.beyond(&things);
        assert!(left.is_empty(), "left in the engine: {left:#?}");
        let submissions = accepted.len() as u64;
        let within = |what: &str, grown: u64, bound: u64| {
            assert!(grown <= bound, "{what} grew by {grown}, more than {bound}");
        };
        within(
            "the database",
            room_now.database_bytes.saturating_sub(room.database_bytes),
            SLACK_BYTES + submissions * DATABASE_BYTES_EACH,
        );
        within(
            "the data folder",
            room_now.bytes.saturating_sub(room.bytes),
            SLACK_BYTES + submissions * CONTENT_BYTES_EACH,
        );
        within("the number of files in it", room_now.files.saturating_sub(room.files), submissions);
        within(
            "the engine's folder",
            stored_now.saturating_sub(stored),
            SLACK_BYTES + engine_kills * ENGINE_BYTES_PER_KILL,
        );
        let panicked = self.installation.logged("panicked");
        assert!(panicked.is_empty(), "{panicked:#?}");
        self.store.close().await;
        let installation = Arc::into_inner(self.installation).expect("nobody else has it any more");
        installation.remove().await;
    }

    fn wake(&mut self) {
        self.wake_server();
        self.worker = self.has_worker.then(|| self.installation.worker());
    }

    fn wake_server(&mut self) {
        let server = self.installation.serve(&[]);
        self.address.send_replace(Some(server.address.clone()));
        self.server = Some(server);
    }

    /// Ends everything in good order.
    fn rest(&mut self) {
        self.address.send_replace(None);
        self.server.take().into_iter().chain(self.worker.take()).for_each(Process::stop);
    }

    /// What is in the engine, and the room that data folder and engine take.
    fn seen(&self) -> (Inventory, Room, u64) {
        let room = Room::of(&self.installation.data());
        (Inventory::of(&self.installation), room, self.engine.stored_bytes())
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.random())
    }

    /// The next to be killed. All have their turn, the engine less often: it takes its time to come back, in which
    /// nothing happens.
    fn victim(&mut self) -> Victim {
        if self.victims.is_empty() {
            self.victims = vec![Victim::Server, Victim::Server, Victim::Engine];
            if self.has_worker {
                self.victims.extend([Victim::Worker, Victim::Worker]);
            }
            self.victims.shuffle(&mut self.random);
        }
        self.victims.pop().expect("there is always one")
    }

    /// Kills one and starts it again after a while.
    async fn kill(&mut self, victim: Victim) {
        let pause = self.up_to(if matches!(victim, Victim::Engine) { ENGINE_DOWN } else { DOWN });
        match victim {
            Victim::Server => {
                self.server.take().expect("it is up").kill();
                self.address.send_replace(None);
                tokio::time::sleep(pause).await;
                self.wake_server();
            }
            Victim::Worker => {
                self.worker.take().expect("it is up").kill();
                tokio::time::sleep(pause).await;
                self.worker = Some(self.installation.worker());
            }
            Victim::Engine => {
                self.engine.down();
                // One that is back at once may be taken for one that was never away.
                let pause = if self.random.random_bool(0.4) { Duration::ZERO } else { pause };
                tokio::time::sleep(pause).await;
                self.engine.up();
            }
        }
    }

    /// Waits for the verdicts and judges them; how many attempts they took.
    async fn judged(&self, accepted: &[Accepted]) -> usize {
        settled(&self.store, accepted).await;
        let server = self.server.as_ref().expect("it is up");
        assert_right(&self.installation, server, &self.store, accepted).await
    }
}
