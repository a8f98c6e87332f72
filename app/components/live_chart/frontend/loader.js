// Sent with every update, so it only fetches the real module. See assets.py.

function appRoot(basePath) {
  // The page's own bundle tells where the app lives, also behind a proxy that adds a path.
  const bundle = document.querySelector('script[src*="static/js/"]')?.src ?? "";
  const sameOrigin = bundle.startsWith(`${location.origin}/`);
  return sameOrigin ? bundle.slice(0, bundle.indexOf("/static/js/")) : location.origin + basePath;
}

export default async function (component) {
  const { assets } = component.data;
  const locate = (path) => (path.startsWith("/") ? appRoot(assets.basePath) + path : path);
  const module = await import(locate(assets.module));
  return module.mount(component, locate(assets.plotly));
}
