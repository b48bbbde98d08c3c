/* Look at an address again and again: often while things change, seldom while they do not, never in a hidden tab. */
"use strict";

(function () {
    const FASTEST = 1000;
    const SLOWEST = 15000;

    /**
     * @param {function(): string} address gives the address of each look.
     * @param {function(object): boolean} show shows an answer; tells whether there is more to come.
     * @param {number} [fastest] milliseconds between two looks at the least.
     */
    window.tasktreePoll = function (address, show, fastest = FASTEST) {
        let pause = fastest;
        let timer = null;
        let ended = false;

        function again() {
            clearTimeout(timer);
            if (!ended && !document.hidden) {
                timer = setTimeout(look, pause);
            }
        }

        async function look() {
            try {
                // The browser's own cache sends If-None-Match; an answer that has not changed is read from there.
                const response = await fetch(address(), { cache: "no-cache", headers: { Accept: "application/json" } });
                if (response.status === 403 || response.status === 404) {
                    ended = true;
                    return;
                }
                if (!response.ok) {
                    throw new Error(String(response.status));
                }
                const tag = response.headers.get("ETag");
                pause = tag !== null && tag === look.tag ? Math.min(pause * 1.5, SLOWEST) : fastest;
                look.tag = tag;
                ended = !show(await response.json());
            } catch {
                // The server is away for a moment, or being deployed.
                pause = Math.min(pause * 2, SLOWEST);
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
