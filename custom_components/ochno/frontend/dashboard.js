// Dashboard strategy: the integration computes the dashboard and its views.
const TYPE = "ochno";
const REGISTRIES = ["areas", "devices", "entities", "floors"];
const text = (hass, key) => hass?.localize(`component.ochno.config_panel.dashboard.${key}`);
const loadTexts = (hass) => hass.loadBackendTranslation("config_panel", TYPE);

// Entities whose new state changes a dashboard or a view, such as its order, by its configuration.
const watched = new WeakMap();

class OchnoDashboardStrategy extends HTMLElement {
  static async generate(dashboardConfig, hass) {
    const { type, ...config } = dashboardConfig;
    const command = { type: "ochno/dashboard", language: hass.language, config };
    const { watch, ...dashboard } = await hass.callWS(command);
    watched.set(dashboardConfig, watch);
    return dashboard;
  }

  static async getCreateSuggestions(hass) {
    await loadTexts(hass);
    return { title: text(hass, "title"), icon: "mdi:google-classroom" };
  }

  static shouldRegenerate(config, old, hass) {
    const changed = (id) => old.states[id]?.state !== hass.states[id]?.state;
    return (
      watched.get(config)?.some(changed) ||
      old.language !== hass.language ||
      REGISTRIES.some((key) => old[key] !== hass[key])
    );
  }
}

class OchnoViewStrategy extends HTMLElement {
  static async generate(viewConfig, hass) {
    const { type, ...config } = viewConfig;
    const command = { type: "ochno/dashboard/view", language: hass.language, config };
    const { view, watch } = await hass.callWS(command);
    watched.set(viewConfig, watch);
    return view;
  }

  static shouldRegenerate(config, old, hass) {
    return OchnoDashboardStrategy.shouldRegenerate(config, old, hass);
  }
}

// The frontend replaces the registry of elements when it starts; elements from before are lost.
await customElements.whenDefined("home-assistant");
customElements.define(`ll-strategy-dashboard-${TYPE}`, OchnoDashboardStrategy);
customElements.define(`ll-strategy-view-${TYPE}`, OchnoViewStrategy);

const current = () => document.querySelector("home-assistant")?.hass;
window.customStrategies = window.customStrategies ?? [];
window.customStrategies.push({
  type: TYPE,
  strategyType: "dashboard",
  get name() { return text(current(), "title") || "Ochno"; },
  get description() { return text(current(), "description") || ""; },
  documentationURL: "https://github.com/ha-ochno/ha-ochno/blob/main/docs/dashboard.md",
});

// The dialog that shows these texts does not wait until they are loaded.
while (!current()?.localize) await new Promise((resolve) => setTimeout(resolve, 100));
await loadTexts(current());
