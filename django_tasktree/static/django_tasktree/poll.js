/* Look at an address again and again: often while things change, seldom while they do not, never in a hidden tab.
   Where it can't be looked at any more, the page says so. */
"use strict";

(function () {
    const FASTEST = 1000;
    const SLOWEST = 15000;
    /** So many looks in a row may fail before the page says that it is not up to date. */
    const FAILURES = 3;
    /** Milliseconds by which the server's clock is ahead of this one. */
    let ahead = 0;

    window.tasktreeNow = () => Date.now() + ahead;

    /** Fetch JSON. The browser's own cache sends If-None-Match, and gives what has not changed. */
    window.tasktreeFetch = (address) => fetch(address, { cache: "no-cache", headers: { Accept: "application/json" } });

    /** Set the clock by what the server says. */
    window.tasktreeSetClock = function (text) {
        const time = Date.parse(text);
        if (!Number.isNaN(time) && Math.abs(time - Date.now() - ahead) > 1500) {
            ahead = time - Date.now();
        }
    };

    /** Say that the page is not up to date, and why: "loggedOut", "gone", "away"; or that it is again. */
    function warn(reason) {
        const notice = document.querySelector("[data-tasktree-stale]");
        if (notice) {
            const text = reason ? notice.dataset[reason] : "";
            notice.hidden = !reason;
            if (notice.textContent !== text) {
                notice.textContent = text;
            }
        }
        document.documentElement.classList.toggle("tasktree-is-stale", Boolean(reason));
    }

    function isLogin(response) {
        // The admin leads those who are logged out to its login page, which is no JSON.
        return response.redirected || response.status === 401;
    }

    /**
     * @param {function(): string} address gives the address of each look.
     * @param {function(object): (boolean|Promise<boolean>)} show shows an answer; tells whether there is more to come.
     * @param {number} [fastest] milliseconds between two looks at the least.
     */
    window.tasktreePoll = function (address, show, fastest = FASTEST) {
        let pause = fastest;
        let timer = null;
        let ended = false;
        let failures = 0;
        let tag = null;

        function again() {
            clearTimeout(timer);
            if (!ended && !document.hidden) {
                timer = setTimeout(look, pause);
            }
        }

        function end(reason) {
            ended = true;
            warn(reason);
        }

        async function look() {
            try {
                const response = await window.tasktreeFetch(address());
                if (isLogin(response)) {
                    return end("loggedOut");
                }
                if ([403, 404, 410].includes(response.status)) {
                    return end("gone");
                }
                if (!response.ok) {
                    throw new Error(String(response.status));
                }
                const fresh = response.headers.get("ETag");
                pause = fresh !== null && fresh === tag ? Math.min(pause * 1.5, SLOWEST) : fastest;
                if (fresh === null || fresh !== tag) {
                    window.tasktreeSetClock(response.headers.get("Date"));
                    ended = !(await show(await response.json()));
                }
                tag = fresh;
                failures = 0;
                warn("");
            } catch {
                // The server is away for a moment, or being deployed.
                failures += 1;
                pause = Math.min(pause * 2, SLOWEST);
                if (failures >= FAILURES) {
                    warn("away");
                }
            }
            again();
        }

        document.addEventListener("visibilitychange", function () {
            pause = fastest;
            again();
        });
        again();
    };
})();
