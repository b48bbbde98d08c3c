/* Durations as texts, with the translated units of the server. */

const two = (number) => String(number).padStart(2, "0");

/**
 * Return a duration as text.
 *
 * @param {number} seconds - a whole number.
 * @param {{seconds: string, minutes: string, hours: string}} units - texts with Python's placeholders.
 */
export function durationText(seconds, units) {
    if (seconds < 60) {
        return secondsText(String(seconds), units);
    }
    if (seconds < 3600) {
        return units.minutes
            .replace("%(minutes)d", String(Math.floor(seconds / 60)))
            .replace("%(seconds)02d", two(seconds % 60));
    }
    return units.hours
        .replace("%(hours)d", String(Math.floor(seconds / 3600)))
        .replace("%(minutes)02d", two(Math.floor((seconds % 3600) / 60)));
}

export const secondsText = (number, units) => units.seconds.replace("%(number)s", number);
