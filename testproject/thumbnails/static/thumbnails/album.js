/* Show each thumbnail as soon as it is ready: whenever the progress widget has polled, fetch the pictures again. */

const pictures = document.getElementById("pictures");

document.addEventListener("tasktree:progress", async () => {
    const response = await fetch(pictures.dataset.url);
    if (response.ok) {
        pictures.innerHTML = await response.text();
    }
});
