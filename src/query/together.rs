//! Questions for one document each that come at the same time are asked as one. Where little is asked nobody waits: a question
//! goes out at once while fewer than [`LANES`] are under way. Whoever comes while they are joins those who wait, and goes with
//! them as soon as an answer is back. Every document is read after it was asked for, as if everybody had asked alone.
//! Those who wait are requests in flight, of which there is a bounded number. When MongoDB is silent they wait for those who
//! ask, who give up after `ANSWER`; everybody's own deadline goes on.
//!
//! The driver's work for a question is most of what reading a document costs a server, so it is shared.

use super::store::StoreError;
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Questions under way at a time.
const LANES: usize = 2;

/// Documents asked for in one question at most; the others wait for the next. Each is a request that is in flight, and of those
/// there is a bounded number (`http::admission`).
const MOST: usize = 100;

/// What somebody who waits is told: what was found, or that it is their turn to ask.
enum Turn<T> {
    Answer(Result<Option<T>, StoreError>),
    Lead(Lead<T>),
}

type Waiting<T> = Vec<(String, oneshot::Sender<Turn<T>>)>;

struct State<T> {
    under_way: usize,
    waiting: Waiting<T>,
}

/// Those who ask, and those who wait. Cheap to clone.
pub struct Together<T>(Arc<Mutex<State<T>>>);

impl<T> Clone for Together<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { under_way: 0, waiting: Vec::new() })))
    }
}

/// The right to ask. Whoever lets go of it, in whatever way, hands it on to somebody who waits.
struct Lead<T>(Option<Together<T>>);

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        let Some(together) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = together.state();
                if state.waiting.is_empty() {
                    state.under_way -= 1;
                    return;
                }
                state.waiting.swap_remove(0).1
            };
            // Whoever has gone does not take it; then it comes back here, disarmed.
            match next.send(Turn::Lead(Lead(Some(together.clone())))) {
                Ok(()) => return,
                Err(Turn::Lead(mut back)) => back.0 = None,
                Err(Turn::Answer(_)) => {}
            }
        }
    }
}

impl<T> Together<T> {
    /// Held for a few moves, never over an await.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Together<T> {
    /// Finds one document; `find` is asked for all that are wanted at that moment, and gives those that there are by id.
    ///
    /// # Errors
    /// What `find` fails with, for everybody who was with it.
    pub async fn get<F>(&self, id: &str, find: impl Fn(Vec<String>) -> F) -> Result<Option<T>, StoreError>
    where
        F: Future<Output = Result<HashMap<String, T>, StoreError>>,
    {
        loop {
            let lead = match self.turn(id) {
                Ok(lead) => lead,
                Err(turn) => match turn.await {
                    Ok(Turn::Answer(answer)) => return answer,
                    Ok(Turn::Lead(lead)) => lead,
                    // Whoever asked for us has gone before there was an answer.
                    Err(_) => continue,
                },
            };
            return self.ask(id, lead, find).await;
        }
    }

    /// The right to ask, or a place among those who wait.
    fn turn(&self, id: &str) -> Result<Lead<T>, oneshot::Receiver<Turn<T>>> {
        let mut state = self.state();
        if state.under_way < LANES {
            state.under_way += 1;
            return Ok(Lead(Some(self.clone())));
        }
        let (tell, told) = oneshot::channel();
        state.waiting.push((id.to_owned(), tell));
        Err(told)
    }

    async fn ask<F>(&self, id: &str, lead: Lead<T>, find: impl Fn(Vec<String>) -> F) -> Result<Option<T>, StoreError>
    where
        F: Future<Output = Result<HashMap<String, T>, StoreError>>,
    {
        let with_us = {
            let mut state = self.state();
            let beyond = if state.waiting.len() < MOST { Vec::new() } else { state.waiting.split_off(MOST - 1) };
            mem::replace(&mut state.waiting, beyond)
        };
        let mut ids: Vec<_> = with_us.iter().map(|(id, _)| id.clone()).collect();
        ids.push(id.to_owned());
        ids.sort_unstable();
        ids.dedup();
        let found = find(ids).await;
        drop(lead);
        let of = |id: &str| found.as_ref().map(|found| found.get(id).cloned()).map_err(Clone::clone);
        let ours = of(id);
        for (id, tell) in with_us {
            // Whoever has gone needs no answer.
            let _ = tell.send(Turn::Answer(of(&id)));
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::{LANES, Together};
    use crate::query::store::StoreError;
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
        time::Duration,
    };
    use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};

    /// A collection that answers when it is let, with the length of every id, and remembers what it was asked.
    #[derive(Clone)]
    struct Books {
        together: Together<usize>,
        open: Arc<Semaphore>,
        asked: Arc<Mutex<Vec<Vec<String>>>>,
    }

    impl Books {
        fn new() -> Self {
            Self { together: Together::default(), open: Arc::new(Semaphore::new(0)), asked: Arc::default() }
        }

        fn ask(&self, id: &str) -> JoinHandle<Result<Option<usize>, StoreError>> {
            let (books, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                let find = |ids: Vec<String>| {
                    books.asked.lock().unwrap().push(ids.clone());
                    let open = Arc::clone(&books.open);
                    async move {
                        open.acquire().await.unwrap().forget();
                        if ids.iter().any(|id| id == "torn") {
                            return Err(StoreError::custom("torn"));
                        }
                        Ok(ids.into_iter().filter(|id| id != "lost").map(|id| (id.clone(), id.len())).collect::<HashMap<_, _>>())
                    }
                };
                books.together.get(&id, find).await
            })
        }

        /// Waits until so many questions have been asked and so many wait.
        async fn has(&self, asked: usize, waiting: usize) {
            let seen = || (self.asked.lock().unwrap().len(), self.together.state().waiting.len());
            let there = async {
                while seen() != (asked, waiting) {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), there).await.unwrap_or_else(|_| panic!("{:?}", seen()));
        }

        /// One answer comes, and all who wait are asked for; then everything comes.
        async fn one_is_back(&self) {
            self.open.add_permits(1);
            self.has(LANES + 1, 0).await;
            self.open.add_permits(LANES);
        }

        /// Nobody asks and nobody waits.
        fn idle(&self) {
            let state = self.together.state();
            assert_eq!((state.under_way, state.waiting.len()), (0, 0));
        }

        /// As many questions as can be under way.
        async fn busy(&self) -> Vec<JoinHandle<Result<Option<usize>, StoreError>>> {
            let busy = (0..LANES).map(|_| self.ask("a")).collect();
            self.has(LANES, 0).await;
            busy
        }
    }

    async fn answered(asked: JoinHandle<Result<Option<usize>, StoreError>>) -> Option<usize> {
        timeout(Duration::from_secs(10), asked).await.expect("an answer").unwrap().unwrap()
    }

    #[tokio::test]
    async fn who_comes_while_others_ask_goes_with_the_next() {
        let books = Books::new();
        let busy = books.busy().await;
        let late: Vec<_> = ["bb", "ccc", "lost", "bb"].into_iter().map(|id| books.ask(id)).collect();
        books.has(LANES, 4).await;
        books.one_is_back().await;
        for asked in busy {
            assert_eq!(answered(asked).await, Some(1));
        }
        let mut found = Vec::new();
        for asked in late {
            found.push(answered(asked).await);
        }
        assert_eq!(found, [Some(2), Some(3), None, Some(2)]);
        assert_eq!(books.asked.lock().unwrap()[LANES], ["bb", "ccc", "lost"], "once each, in one question");
        books.idle();
    }

    #[tokio::test]
    async fn nobody_waits_for_somebody_who_has_gone() {
        let books = Books::new();
        let mut busy = books.busy().await;
        let (first, second) = (books.ask("bb"), books.ask("ccc"));
        books.has(LANES, 2).await;
        // Whoever waits goes: their turn comes to the next.
        first.abort();
        // Whoever asks goes: their turn comes to the next, too.
        busy.pop().unwrap().abort();
        books.has(LANES + 1, 0).await;
        let third = books.ask("dddd");
        books.has(LANES + 1, 1).await;
        // And whoever asks for others goes: they ask for themselves.
        second.abort();
        books.open.add_permits(3);
        assert_eq!(answered(third).await, Some(4));
        for asked in busy {
            assert_eq!(answered(asked).await, Some(1));
        }
        books.idle();
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_asked_together() {
        let books = Books::new();
        let busy = books.busy().await;
        let late = [books.ask("torn"), books.ask("bb")];
        books.has(LANES, 2).await;
        books.one_is_back().await;
        for asked in busy {
            assert_eq!(answered(asked).await, Some(1));
        }
        for asked in late {
            assert!(timeout(Duration::from_secs(10), asked).await.expect("an answer").unwrap().is_err());
        }
    }
}
