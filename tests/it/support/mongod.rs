//! A MongoDB of the test's own, for what would disturb all others: an election, a sudden death, answers that fail on command.

use super::{stack::address, until};
use mongodb::{
    Client,
    bson::{Document, doc},
};
use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

pub struct Mongod {
    binary: String,
    folder: PathBuf,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl Mongod {
    /// Starts another of the server that all tests share, and waits until it can be written to.
    pub async fn start() -> Self {
        let shared = Client::with_uri_str(address("MONGODB_URI")).await.expect("MongoDB");
        let line = shared.database("admin").run_command(doc! { "getCmdLineOpts": 1 }).await.expect("its command line");
        let binary = line.get_array("argv").expect("arguments")[0].as_str().expect("a program").to_owned();
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let folder = std::env::temp_dir().join(format!("orderflow-mongod-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let server = Self { binary, folder, port, child: Mutex::new(None) };
        server.launch();
        let set = doc! { "_id": "rs0", "members": [{ "_id": 0, "host": format!("127.0.0.1:{port}") }] };
        until("a replica set", || async {
            match server.admin(doc! { "replSetInitiate": set.clone() }).await {
                Ok(_) => Ok(()),
                // It has been made one, and the answer was lost.
                Err(error) if error.contains("already initialized") => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await;
        server.writable().await;
        server
    }

    pub fn uri(&self) -> String {
        // Direct, as the shared one: see scripts/lib/mongodb.sh.
        format!("mongodb://127.0.0.1:{}/orderflow?replicaSet=rs0&directConnection=true", self.port)
    }

    fn launch(&self) {
        let mut command = Command::new(&self.binary);
        command.args(["--replSet", "rs0", "--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet", "--oplogSize", "64"]);
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--setParameter", "enableTestCommands=1"]);
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false", "--port", &self.port.to_string()]);
        command.arg("--dbpath").arg(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        *self.child.lock().expect("no panic") = Some(command.spawn().expect("mongod starts"));
    }

    async fn admin(&self, command: Document) -> Result<Document, String> {
        // A client of its own each time: the set is not one yet, or has just changed.
        let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=500", self.port);
        let client = Client::with_uri_str(uri).await.map_err(|e| e.to_string())?;
        client.database("admin").run_command(command).await.map_err(|e| e.to_string())
    }

    /// Waits until it is the primary of its set.
    async fn writable(&self) {
        until("a primary", || async {
            let hello = self.admin(doc! { "hello": 1 }).await?;
            if hello.get_bool("isWritablePrimary").unwrap_or(false) { Ok(()) } else { Err(hello.to_string()) }
        })
        .await;
    }

    /// Stops being the primary, for a second; then there is an election.
    pub async fn step_down(&self) {
        self.admin(doc! { "replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": true }).await.expect("a step down");
        self.writable().await;
    }

    /// Dies as by `kill -9`, and starts again on what is on its disk.
    pub async fn die_and_come_back(&self) {
        self.kill();
        self.launch();
        self.writable().await;
    }

    /// Answers these commands of the app with this error: so many times, or until [`Self::answer_again`].
    pub async fn fail(&self, commands: &[&str], code: i32, times: Option<i32>) {
        let mode = times.map_or_else(|| "alwaysOn".into(), |times| mongodb::bson::Bson::from(doc! { "times": times }));
        let data = doc! { "failCommands": commands.to_vec(), "errorCode": code, "appName": "orderflow" };
        self.admin(doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data }).await.expect("a fail point");
    }

    pub async fn answer_again(&self) {
        self.admin(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.expect("no fail point");
    }

    fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
